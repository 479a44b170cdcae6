"""What Redis knows of one tenant, as pages show it; None while Redis is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCounter:
    """A quota's counter in one window, as Redis has it."""

    used: int
    held: int
    granted: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """What Redis knows of one tenant."""

    running: Mapping[str, int]
    """Requests by scope."""
    counters: Mapping[tuple[str, str], LiveCounter]
    """By counter and window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Requests that one limit refused to one scope."""

    reason: str
    scope: str
    owner: str
    """Whose key was refused: `key:12`; empty if it is not known."""
    at: datetime
    """The last time."""
    count: int


def read_live_view(tenant_id: int) -> LiveView | None:
    """The numbers of now, or None if Redis does not answer."""
    return None


def recent_refusals(tenant_id: int) -> tuple[Refusal, ...]:
    """The last refusals, the newest first; none if Redis does not answer."""
    return ()
