"""What one start of the stack is to do, decided at the edge from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.state_dir import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """Addresses are empty where the embedded server is meant."""

    checkout: Path
    home: Home
    bind: str
    console_port: int
    gateway_port: int
    engine_port: int
    console_url: str
    gateway_url: str
    database_url: str
    redis_url: str
    drain_seconds: float
    environment: Mapping[str, str]
    """The caller's own. What it sets has precedence over what the stack would choose."""
