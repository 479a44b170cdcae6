"""What Redis knows of one tenant, as pages show it; None while Redis is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tenants.errors import CountersUnreadable
from tenants.live_state import read_live, read_refusals


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
    try:
        live = read_live(tenant_id=tenant_id)
    except CountersUnreadable:
        return None
    return LiveView(
        running={scope.scope: scope.running for scope in live.scopes},
        counters={
            place: LiveCounter(
                used=each.used, held=each.held, granted=each.granted, version=each.version or 0
            )
            for place, each in live.windows.items()
            if each.used is not None
        },
    )


def recent_refusals(tenant_id: int) -> tuple[Refusal, ...]:
    """The last refusals, the newest first; none if Redis does not answer."""
    try:
        found = read_refusals(tenant_id=tenant_id)
    except CountersUnreadable:
        return ()
    return tuple(
        Refusal(
            reason=each.reason,
            scope=each.scope,
            owner=f"key:{each.key_id}",
            at=each.at,
            count=each.count,
        )
        for each in found
        if not each.shadow
    )
