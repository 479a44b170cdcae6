"""A tool as a value, built from its row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tenant's tool. Never log its credential; `repr` omits it."""

    name: str
    kind: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    credential: str = field(default="", repr=False)
    is_readable: bool = True
    """False if the credential cannot be decrypted: the tool cannot be called then."""
    timeout_seconds: float = 20.0
    needs_approval: bool = False
    is_idempotent: bool = False
    """Whether a call may be executed again if its result was lost with a worker."""
    offered_over_mcp: bool = False
    """Whether MCP clients of the tenant may call the tool outside of a run."""
    tenant_id: int = 0
    """The owner of the tool: connections that are kept between calls are not shared by tenants."""
