"""What Redis knows of one tenant, as pages show it; None while Redis is away."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tenants.counters import state as counter_state
from tenants.counters.state import LiveScope, LiveWindow
from tenants.errors import CountersUnreadable

KINDS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """What Redis knows of one tenant."""

    scopes: Mapping[str, LiveScope] = field(default_factory=dict)
    counters: Mapping[tuple[str, str], LiveWindow] = field(default_factory=dict)
    """By counter and window."""
    now_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Requests that one limit refused to one key."""

    reason: str
    scope: str
    owner: str
    """Whose key was refused: `key:12`."""
    at: datetime
    """The last time."""
    count: int
    shadow: bool
    """They were let through: the limit is in shadow mode or soft."""


def read_live_view(tenant_id: int) -> LiveView | None:
    """The numbers of now, or None if Redis does not answer."""
    try:
        state = counter_state.read_live(tenant_id=tenant_id)
    except CountersUnreadable:
        return None
    return LiveView(
        scopes={each.scope: each for each in state.scopes},
        counters=state.windows,
        now_us=state.now_us,
    )


def recent_refusals(tenant_id: int) -> tuple[Refusal, ...]:
    """The last refusals by reason, limit and key, the newest first; none if Redis is away."""
    try:
        counts = counter_state.read_refusals(tenant_id=tenant_id)
    except CountersUnreadable:
        return ()
    kinds: dict[tuple[str, str, int, bool], list[counter_state.Refusal]] = {}
    for each in counts:
        kinds.setdefault((each.reason, each.scope, each.key_id, each.shadow), []).append(each)
    return tuple(
        Refusal(
            reason=reason,
            scope=scope,
            owner=f"key:{key_id}",
            at=same[0].at,
            count=sum(each.count for each in same),
            shadow=shadow,
        )
        for (reason, scope, key_id, shadow), same in list(kinds.items())[:KINDS_SHOWN]
    )
