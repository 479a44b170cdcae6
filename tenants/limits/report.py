"""A tenant's limits as people look at them: what is in force, where it comes from, how it stands.

Pages and the management API show the same values. Numbers come from Redis, and from PostgreSQL
when Redis is away; then nothing is known of holds and of what runs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kernel.errors import NotFound
from tenants.admission.limits.rules import QuotaRule, RateRule
from tenants.counters.view import LiveView
from tenants.limits.effective import Origin, limits_with_origin, place
from tenants.limits.status import NOTHING, Owners, ScopeUsage, TopScopes, quota_status, running_of
from tenants.limits.window_rows import open_windows
from tenants.models import Tenant
from tenants.scoping import tenant_scope
from tenants.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLine:
    """A rate limit, with the requests that run now per scope, most first."""

    origin: Origin
    overridden_by: str = ""
    running: TopScopes = NOTHING

    @property
    def rule(self) -> RateRule:
        assert isinstance(self.origin.rule, RateRule)
        return self.origin.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLine:
    """A quota in its running window, with its counters, most used first."""

    origin: Origin
    overridden_by: str = ""
    window: Window | None = None
    """None if it is overridden."""
    apart: frozenset[int] = frozenset()
    """Keys or members that have a quota of their own instead."""
    counted: TopScopes = NOTHING

    @property
    def rule(self) -> QuotaRule:
        assert isinstance(self.origin.rule, QuotaRule)
        return self.origin.rule

    def allowed(self, counted: ScopeUsage) -> int:
        """What may be used in this window, with what was granted on top."""
        return self.rule.limit + counted.granted

    def remaining(self, counted: ScopeUsage) -> int:
        return max(0, self.allowed(counted) - counted.total)

    def counts(self, counter: str) -> bool:
        """Whether `counter` is one of this quota's."""
        scope, _, unit = counter.rpartition("|")
        return unit == self.rule.unit and bool(Owners(self.rule, apart=self.apart).of(scope))

    def is_over(self, counted: ScopeUsage) -> bool:
        """Whether nothing more may be used, were it a hard quota."""
        return counted.used >= self.allowed(counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsReport:
    tenant: Tenant
    now: datetime
    rates: tuple[RateLine, ...]
    quotas: tuple[QuotaLine, ...]
    is_live: bool
    """False: Redis is away, and the numbers are PostgreSQL's, without holds."""


def report_limits(tenant: Tenant, *, now: datetime, live: LiveView | None) -> LimitsReport:
    """Every limit of a tenant and of its plan, and how it stands.

    `live` is what Redis has, None if it is unavailable. Windows that are missing are opened.
    """
    with tenant_scope(tenant.pk):
        origins = limits_with_origin(tenant)
        quotas = [rule for rule in rules_in_force(origins) if isinstance(rule, QuotaRule)]
        windows = open_windows(tenant.pk, quotas, now=now)
        return LimitsReport(
            tenant=tenant,
            now=now,
            rates=tuple(
                rate_line(each, origins, live)
                for each in origins
                if isinstance(each.rule, RateRule)
            ),
            quotas=tuple(
                quota_line(each, origins, live, windows.get(each.rule.slot))
                for each in origins
                if isinstance(each.rule, QuotaRule)
            ),
            is_live=live is not None,
        )


def rules_in_force(origins: Iterable[Origin]) -> list[RateRule | QuotaRule]:
    return [origin.rule for origin in origins if not origin.overridden]


def rate_line(origin: Origin, origins: Sequence[Origin], live: LiveView | None) -> RateLine:
    if origin.overridden:
        return RateLine(origin=origin, overridden_by=overrider(origin, origins))
    line = RateLine(origin=origin)
    return replace(line, running=running_of(line.rule, live, apart=ids_apart(origin, origins)))


def quota_line(
    origin: Origin, origins: Sequence[Origin], live: LiveView | None, window: Window | None
) -> QuotaLine:
    rule = origin.rule
    if origin.overridden or window is None or not isinstance(rule, QuotaRule):
        return QuotaLine(origin=origin, overridden_by=overrider(origin, origins))
    apart = ids_apart(origin, origins)
    counted = quota_status(rule, window, live, apart=apart)
    return QuotaLine(origin=origin, window=window, apart=apart, counted=counted)


def overrider(origin: Origin, origins: Iterable[Origin]) -> str:
    """The source of the rule that is in force instead."""
    others = (each for each in rules_in_force(origins) if place(each) == place(origin.rule))
    return next((each.source for each in others), "")


def ids_apart(origin: Origin, origins: Iterable[Origin]) -> frozenset[int]:
    """Keys or members that have a rule of their own in place of this one."""
    if not origin.except_for:
        return frozenset()
    others = (each for each in rules_in_force(origins) if place(each) == place(origin.rule))
    ids = (each.key_id or each.member_id for each in others)
    return frozenset(each for each in ids if each is not None)


def find_quota_line(tenant: Tenant, *, counter: str, window: str, now: datetime) -> QuotaLine:
    """The quota in force that has this counter in this window. Raises NotFound."""
    for line in report_limits(tenant, now=now, live=None).quotas:
        if line.window is not None and line.window.id == window and line.counts(counter):
            return line
    raise NotFound("No quota in force has this counter in this window.")
