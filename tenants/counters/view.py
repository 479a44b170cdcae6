"""The live state of one tenant for pages, which tolerate an outage of Redis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tenants.counters import state as counter_state
from tenants.counters.state import LiveScope, LiveWindow
from tenants.errors import CountersUnreadable

MAX_DISPLAYED_KINDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """The live scopes and counters of one tenant."""

    scopes: Mapping[str, LiveScope] = field(default_factory=dict)
    counters: Mapping[tuple[str, str], LiveWindow] = field(default_factory=dict)
    """Windows by counter and window id."""
    now_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequests:
    """Requests that one limit refused to one key."""

    reason: str
    scope: str
    owner: str
    """The owner of the key: `key:12`."""
    at: datetime
    """The time of the last refusal."""
    count: int
    shadow: bool
    """Whether the requests were admitted, because the limit is in shadow mode or soft."""


def read_live_view(tenant_id: int) -> LiveView | None:
    """Return the live state; None while Redis is unavailable."""
    try:
        state = counter_state.read_live(tenant_id=tenant_id)
    except CountersUnreadable:
        return None
    return LiveView(
        scopes={each.scope: each for each in state.scopes},
        counters=state.windows,
        now_us=state.now_us,
    )


def recent_refusals(tenant_id: int) -> tuple[RefusedRequests, ...]:
    """Return recent refusals by reason, limit and key, the newest first; none without Redis."""
    try:
        counts = counter_state.read_refusals(tenant_id=tenant_id)
    except CountersUnreadable:
        return ()
    kinds: dict[tuple[str, str, int, bool], list[counter_state.CountedRefusal]] = {}
    for each in counts:
        kinds.setdefault((each.reason, each.scope, each.key_id, each.shadow), []).append(each)
    return tuple(
        RefusedRequests(
            reason=reason,
            scope=scope,
            owner=f"key:{key_id}",
            at=same[0].at,
            count=sum(each.count for each in same),
            shadow=shadow,
        )
        for (reason, scope, key_id, shadow), same in list(kinds.items())[:MAX_DISPLAYED_KINDS]
    )
