"""The limits of a tenant as plain values, for gateways and the console."""

from typing import Literal

import msgspec

from tenants.admission.limits.checks import Unit
from tenants.windows import Calendar, Window

ScopeKind = Literal["tenant", "key", "member"]
SHADOW = "shadow"
REQUEST_KIND_PART = "door"
"""The part of a scope's name with the kind of request. Scope names are stored in Redis and in the
ledger, so the word stays compatible with existing rows and with workers of earlier versions."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The common part of every limit: owner, filters and source."""

    per: ScopeKind
    """The owner of a counter: the tenant, each key or each member."""
    route: str = ""
    """Counts only requests to this model route; empty for all routes together."""
    request_kind: str = ""
    """Counts only requests of this kind, a scope of keys such as `chat`; empty for all."""
    key_id: int | None = None
    """The single key of a rule per key; such a rule is an override."""
    member_id: int | None = None
    source: str
    """Displayed origin: `plan Starter`, `tenant`, `key Laptop`, `member ada`."""
    shadow: bool = False
    """Whether the rule only counts and reports, in its own scope. It overrides no enforced rule."""

    def scope(self, owner: str) -> str:
        """Return the name of the scope in which this rule counts the requests of `owner`."""
        return scope_name(owner, self.route, self.request_kind, SHADOW if self.shadow else "")


class RateRule(Rule, frozen=True, kw_only=True):
    """A rate limit. None is unlimited. Bursts are at least 1."""

    requests_per_minute: int | None = None
    request_burst: int | None = None
    """Maximum requests at once; None for those of one minute."""
    tokens_per_minute: int | None = None
    token_burst: int | None = None
    concurrency: int | None = None


class QuotaRule(Rule, frozen=True, kw_only=True):
    """A quota for each window. Cost is in millionths of the currency unit."""

    unit: Unit
    limit: int
    calendar: Calendar
    pinned: Window | None = None
    """The running window, whose end stays even if the calendar was changed since its start."""
    hard: bool = True
    hold: Literal["full", "extend"] = "full"
    on_redis_outage: Literal["open_capped", "closed"] = "open_capped"
    outage_cap: int | None = None
    """Maximum that all workers together admit without Redis; None for 10 % of the limit."""
    alert_at: tuple[int, ...] = ()
    """Thresholds in percent of the limit, ascending."""
    roll_over: int = 0
    """Maximum unused percent of the limit that is added to the next window."""

    @property
    def slot(self) -> str:
        """The identity of a quota: its scope, unit and period."""
        owner_id = {"key": self.key_id, "member": self.member_id}.get(self.per)
        owner = self.per if owner_id is None else f"{self.per}:{owner_id}"
        return f"{self.scope(owner)}|{self.unit}|{self.calendar.period}"


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force for a tenant: its own, and those of its plan without an override."""

    tenant_id: int
    rates: tuple[RateRule, ...] = ()
    quotas: tuple[QuotaRule, ...] = ()
    weight: int = 1
    """Relative share of the tenant in busy engines."""
    default_max_completion_tokens: int = 4096
    """Maximum completion tokens of a request that sets none."""


def scope_name(owner: str, route: str = "", request_kind: str = "", mode: str = "") -> str:
    """Return the name of a scope, which counts requests together: `key:12|route=tiny|door=chat`.

    Rules in shadow mode have separate scopes and counters: `tenant|mode=shadow`.
    """
    parts = {"route": route, REQUEST_KIND_PART: request_kind, "mode": mode}
    return "|".join([owner, *(f"{name}={value}" for name, value in parts.items() if value)])


def is_shadow(scope: str) -> bool:
    """Return whether a scope, or a counter in it, belongs to shadow mode."""
    return f"mode={SHADOW}" in scope.split("|")


def counter_name(scope: str, unit: Unit) -> str:
    """Return the name of a counter within its tenant. It does not depend on amount and calendar."""
    return f"{scope}|{unit}"
