"""A report on the limits of a tenant: its rules, their sources and their usage.

The console and the management API display the same values. They come from Redis, or from
PostgreSQL while Redis is unavailable; then holds and running requests are unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kernel.errors import NotFound
from tenants.admission.limits.rules import QuotaRule, RateRule
from tenants.counters.view import LiveView
from tenants.limits.effective import RuleOrigin, limits_with_origin, override_slot
from tenants.limits.status import NO_SCOPES, Owners, ScopeUsage, TopScopes, quota_status, running_of
from tenants.limits.window_rows import open_windows
from tenants.models import Tenant
from tenants.scoping import tenant_scope
from tenants.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLine:
    """A rate limit with the running requests of each scope, the highest number first."""

    origin: RuleOrigin
    overridden_by: str = ""
    running: TopScopes = NO_SCOPES

    @property
    def rule(self) -> RateRule:
        assert isinstance(self.origin.rule, RateRule)
        return self.origin.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaReport:
    """A quota in its open window with its counters, the most used first."""

    origin: RuleOrigin
    overridden_by: str = ""
    window: Window | None = None
    """None if the quota is overridden."""
    apart: frozenset[int] = frozenset()
    """Ids of keys or members with an override."""
    counted: TopScopes = NO_SCOPES

    @property
    def rule(self) -> QuotaRule:
        assert isinstance(self.origin.rule, QuotaRule)
        return self.origin.rule

    def allowed(self, counted: ScopeUsage) -> int:
        """Return the limit of this window, grants included."""
        return self.rule.limit + counted.granted

    def remaining(self, counted: ScopeUsage) -> int:
        return max(0, self.allowed(counted) - counted.total)

    def counts(self, counter: str) -> bool:
        """Return whether `counter` belongs to this quota."""
        scope, _, unit = counter.rpartition("|")
        return unit == self.rule.unit and bool(Owners(self.rule, apart=self.apart).of(scope))

    def is_over(self, counted: ScopeUsage) -> bool:
        """Return whether the limit of the window is reached."""
        return counted.used >= self.allowed(counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsReport:
    tenant: Tenant
    now: datetime
    rates: tuple[RateLine, ...]
    quotas: tuple[QuotaReport, ...]
    is_live: bool
    """False if Redis is unavailable and the numbers are from PostgreSQL, without holds."""


def report_limits(tenant: Tenant, *, now: datetime, live: LiveView | None) -> LimitsReport:
    """Return a report on every limit of a tenant and of its plan; open missing windows.

    `live` is the state in Redis; None if Redis is unavailable.
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


def rules_in_force(origins: Iterable[RuleOrigin]) -> list[RateRule | QuotaRule]:
    return [origin.rule for origin in origins if not origin.overridden]


def rate_line(origin: RuleOrigin, origins: Sequence[RuleOrigin], live: LiveView | None) -> RateLine:
    if origin.overridden:
        return RateLine(origin=origin, overridden_by=overrider(origin, origins))
    line = RateLine(origin=origin)
    return replace(line, running=running_of(line.rule, live, apart=overridden_ids(origin, origins)))


def quota_line(
    origin: RuleOrigin, origins: Sequence[RuleOrigin], live: LiveView | None, window: Window | None
) -> QuotaReport:
    rule = origin.rule
    if origin.overridden or window is None or not isinstance(rule, QuotaRule):
        return QuotaReport(origin=origin, overridden_by=overrider(origin, origins))
    apart = overridden_ids(origin, origins)
    counted = quota_status(rule, window, live, apart=apart)
    return QuotaReport(origin=origin, window=window, apart=apart, counted=counted)


def overrider(origin: RuleOrigin, origins: Iterable[RuleOrigin]) -> str:
    """Return the source of the rule that overrides this one."""
    others = (
        each
        for each in rules_in_force(origins)
        if override_slot(each) == override_slot(origin.rule)
    )
    return next((each.source for each in others), "")


def overridden_ids(origin: RuleOrigin, origins: Iterable[RuleOrigin]) -> frozenset[int]:
    """Return the ids of keys or members whose own rule applies in place of this one."""
    if not origin.except_for:
        return frozenset()
    others = (
        each
        for each in rules_in_force(origins)
        if override_slot(each) == override_slot(origin.rule)
    )
    ids = (each.key_id or each.member_id for each in others)
    return frozenset(each for each in ids if each is not None)


def find_quota_line(tenant: Tenant, *, counter: str, window: str, now: datetime) -> QuotaReport:
    """Return the quota in force with this counter and window. Raises NotFound."""
    for line in report_limits(tenant, now=now, live=None).quotas:
        if line.window is not None and line.window.id == window and line.counts(counter):
            return line
    raise NotFound("No quota in force has this counter in this window.")
