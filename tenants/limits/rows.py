"""Conversion of stored limits into the rules that gateways evaluate."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from tenants.admission.limits.rules import QuotaRule, RateRule
from tenants.models import Plan, PlanQuota, PlanRateLimit, Quota, RateLimit
from tenants.models.limit_rules import QuotaLimitRule as QuotaRow
from tenants.models.limit_rules import RateLimitRule as RateRow
from tenants.windows import Calendar, Period

COMMON_FIELDS = ("per", "route", "request_kind", "shadow")
RATES = ("requests_per_minute", "request_burst", "tokens_per_minute", "token_burst", "concurrency")
AMOUNTS = ("unit", "limit", "hard", "hold", "on_redis_outage", "outage_cap", "roll_over")


def rate_of_plan(row: PlanRateLimit, plan: Plan) -> RateRule:
    return RateRule(source=f"plan {plan.name}", **values(row, COMMON_FIELDS, RATES))


def quota_of_plan(row: PlanQuota, plan: Plan, *, time_zone: str) -> QuotaRule:
    """Return the rule of a row; `time_zone` is the tenant's, for a row without one."""
    return QuotaRule(
        source=f"plan {plan.name}", calendar=calendar_of(row, time_zone), **quota_values(row)
    )


def own_rate(row: RateLimit) -> RateRule:
    return RateRule(**owner_of(row), **values(row, COMMON_FIELDS, RATES))


def own_quota(row: Quota, *, time_zone: str) -> QuotaRule:
    """Return the rule of a row; `time_zone` is the tenant's, for a row without one."""
    return QuotaRule(calendar=calendar_of(row, time_zone), **owner_of(row), **quota_values(row))


def values(row: RateRow | QuotaRow, *names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for each in names for name in each}


def quota_values(row: QuotaRow) -> dict[str, Any]:
    return {**values(row, COMMON_FIELDS, AMOUNTS), "alert_at": tuple(sorted(row.alert_at))}


def owner_of(row: RateLimit | Quota) -> Mapping[str, Any]:
    """Return the owner of a tenant's own limit, and its displayed source."""
    if row.api_key is not None:
        return {"key_id": row.api_key.counted_as, "source": f"key {row.api_key.name}"}
    if row.member is not None:
        return {"member_id": row.member_id, "source": f"member {row.member.user.username}"}
    return {"source": "tenant"}


def calendar_of(row: QuotaRow, time_zone: str) -> Calendar:
    return Calendar(
        period=cast("Period", row.period),
        zone=row.time_zone or time_zone,
        start_hour=row.start_hour,
        every=row.every,
        anchor=row.anchor,
    )
