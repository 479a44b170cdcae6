"""The limits of a tenant as plain values: what gateways load, and what pages explain."""

from typing import Literal

import msgspec

from tenants.admission.limits.checks import Unit
from tenants.windows import Calendar, Window

ScopeKind = Literal["tenant", "key", "member"]
SHADOW = "shadow"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What every limit has: whom it counts, for what, and where it comes from."""

    per: ScopeKind
    """Whose requests are counted together: all of the tenant's, each key's or each member's."""
    route: str = ""
    """Only requests to this model route; empty: all of them, counted together."""
    door: str = ""
    """Only requests of this kind, a scope of keys such as `chat`; empty: all of them."""
    key_id: int | None = None
    """Only this key, of a rule per key: an override."""
    member_id: int | None = None
    source: str
    """For people: `plan Starter`, `tenant`, `key Laptop`, `member ada`."""
    shadow: bool = False
    """Counts and reports beside the enforced rules, in a scope of its own; refuses nothing and
    takes the place of none of them.
    """

    def scope(self, owner: str) -> str:
        """Under which name this rule counts the requests of `owner`."""
        return scope_name(owner, self.route, self.door, SHADOW if self.shadow else "")


class RateRule(Rule, frozen=True, kw_only=True):
    """How fast. None is unlimited; bursts are numbers of requests or tokens, at least 1."""

    requests_per_minute: int | None = None
    request_burst: int | None = None
    """None: a whole minute's."""
    tokens_per_minute: int | None = None
    token_burst: int | None = None
    concurrency: int | None = None


class QuotaRule(Rule, frozen=True, kw_only=True):
    """How much in each window. Cost is in millionths of the currency unit."""

    unit: Unit
    limit: int
    calendar: Calendar
    pinned: Window | None = None
    """The window that is open already and ends as it began, whatever the calendar now says."""
    hard: bool = True
    hold: Literal["full", "extend"] = "full"
    when_redis_is_away: Literal["open_capped", "closed"] = "open_capped"
    outage_cap: int | None = None
    """The most that may be used while Redis is away, in all workers together; None: a tenth."""
    alert_at: tuple[int, ...] = ()
    """Percent of the limit, ascending."""
    roll_over: int = 0
    """Percent of the limit of which so much as is unused goes over into the next window."""

    @property
    def slot(self) -> str:
        """What makes two rules the same one: an override takes the place of its plan's."""
        whose = {"key": self.key_id, "member": self.member_id}.get(self.per)
        owner = self.per if whose is None else f"{self.per}:{whose}"
        return f"{self.scope(owner)}|{self.unit}|{self.calendar.period}"


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit of one tenant: its plan's, less what it overrides, and its own."""

    tenant_id: int
    rates: tuple[RateRule, ...] = ()
    quotas: tuple[QuotaRule, ...] = ()
    weight: int = 1
    """Its share of busy engines, beside other tenants' weights."""
    longest_answer: int = 4096
    """Completion tokens held for, and allowed to, a request that names no limit of its own."""


class CounterState(msgspec.Struct, frozen=True, kw_only=True):
    """A quota window's truth in PostgreSQL. Redis holds a copy, replaced by newer versions only."""

    tenant_id: int
    counter: str
    window: str
    used: int = 0
    granted: int = 0
    """Top-ups and what was rolled over: it adds to the limit."""
    version: int = 0


def scope_name(owner: str, route: str = "", door: str = "", mode: str = "") -> str:
    """Under which name requests are counted together: `key:12|route=tiny|door=chat`.

    What is in shadow mode has a name of its own, so that it cannot take a counter from what is
    enforced: `tenant|mode=shadow`.
    """
    parts = {"route": route, "door": door, "mode": mode}
    return "|".join([owner, *(f"{name}={value}" for name, value in parts.items() if value)])


def is_shadow(scope: str) -> bool:
    """Whether a scope, or a counter in it, is one of shadow mode."""
    return f"mode={SHADOW}" in scope.split("|")


def counter_name(scope: str, unit: Unit) -> str:
    """The name of a quota's counter within its tenant; it outlives changes of the rule."""
    return f"{scope}|{unit}"
