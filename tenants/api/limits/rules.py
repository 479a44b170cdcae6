"""How the management API writes rate limits and quotas, in plans and of tenants."""

from typing import Any

from rest_framework import serializers

from tenants.limits.route_names import check_route
from tenants.models import PlanQuota, PlanRateLimit, Quota, RateLimit

WHOM = ("per", "route", "door", "shadow")
RATES = ("requests_per_minute", "request_burst", "tokens_per_minute", "token_burst", "concurrency")
AMOUNTS = (
    *("unit", "limit", "period", "every", "anchor", "start_hour", "time_zone", "hard", "alert_at"),
    *("hold", "when_redis_is_away", "outage_cap", "roll_over"),
)
PLAN_RATE_SLOT = ("per", "route", "door", "shadow")
PLAN_QUOTA_SLOT = (*PLAN_RATE_SLOT, "unit", "period")
"""What makes a rule of a plan the same one as before."""


class PlanRateLimitSerializer(serializers.ModelSerializer[PlanRateLimit]):
    class Meta:
        model = PlanRateLimit
        fields = (*WHOM, *RATES)


class PlanQuotaSerializer(serializers.ModelSerializer[PlanQuota]):
    """Cost is in millionths of the currency unit."""

    class Meta:
        model = PlanQuota
        fields = (*WHOM, *AMOUNTS)


class RateLimitSerializer(serializers.ModelSerializer[RateLimit]):
    tenant = serializers.SlugRelatedField[RateLimit](slug_field="slug", read_only=True)

    class Meta:
        model = RateLimit
        fields = ("id", "tenant", "api_key", "member", *WHOM, *RATES)
        read_only_fields = fields


class QuotaSerializer(serializers.ModelSerializer[Quota]):
    """Cost is in millionths of the currency unit."""

    tenant = serializers.SlugRelatedField[Quota](slug_field="slug", read_only=True)

    class Meta:
        model = Quota
        fields = ("id", "tenant", "api_key", "member", *WHOM, *AMOUNTS)
        read_only_fields = fields


def change(row: Any, data: dict[str, Any]) -> None:
    """Set the attributes of `row`. Raises ValidationError for a route that does not exist."""
    known = row.route if row.pk else ""
    for name, value in data.items():
        setattr(row, name, value)
    check_route(row.route, known=known)
