"""A tool as a value: what the gateway knows of a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tenant's tool as it is called. Never log it whole: it holds a secret, kept out of repr."""

    name: str
    kind: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    credential: str = field(default="", repr=False)
    is_readable: bool = True
    """False if its credential cannot be decrypted any more: it cannot be called then."""
    timeout_seconds: float = 20.0
    needs_approval: bool = False
    tenant_id: int = 0
    """Whose tool it is: what is kept between its calls is no other tenant's."""
