"""The options of one start of the stack, which `up` reads from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.state_dir import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """Options of a start. `database_url` and `redis_url` are empty for the embedded servers."""

    checkout: Path
    home: Home
    bind: str
    console_port: int
    gateway_port: int
    engine_port: int
    node_port: int
    console_url: str
    gateway_url: str
    database_url: str
    redis_url: str
    drain_seconds: float
    environment: Mapping[str, str]
    """The caller's environment, which has precedence over the values of the stack."""
