"""Serializers of rate limits and quotas, in plans and of tenants."""

from typing import Any, ClassVar

from rest_framework import serializers

from tenants.api.renamed_fields import RenamedFields
from tenants.limits.route_names import check_route
from tenants.models import PlanQuota, PlanRateLimit, Quota, RateLimit

COMMON_FIELDS = ("per", "route", "request_kind", "shadow")
RATES = ("requests_per_minute", "request_burst", "tokens_per_minute", "token_burst", "concurrency")
AMOUNTS = (
    *("unit", "limit", "period", "every", "anchor", "start_hour", "time_zone", "hard", "alert_at"),
    *("hold", "on_redis_outage", "outage_cap", "roll_over"),
)
PLAN_RATE_SLOT = ("per", "route", "request_kind", "shadow")
PLAN_QUOTA_SLOT = (*PLAN_RATE_SLOT, "unit", "period")
"""Fields that identify a rule within a plan."""
RENAMED_OF_RATES = {"door": "request_kind"}
RENAMED_OF_QUOTAS = {**RENAMED_OF_RATES, "when_redis_is_away": "on_redis_outage"}
"""Old names of request fields, and the new ones."""


class PlanRateLimitSerializer(RenamedFields, serializers.ModelSerializer[PlanRateLimit]):
    renamed_fields: ClassVar = RENAMED_OF_RATES

    class Meta:
        model = PlanRateLimit
        fields = (*COMMON_FIELDS, *RATES)


class PlanQuotaSerializer(RenamedFields, serializers.ModelSerializer[PlanQuota]):
    """Cost is in millionths of the currency unit."""

    renamed_fields: ClassVar = RENAMED_OF_QUOTAS

    class Meta:
        model = PlanQuota
        fields = (*COMMON_FIELDS, *AMOUNTS)


class RateLimitSerializer(serializers.ModelSerializer[RateLimit]):
    tenant = serializers.SlugRelatedField[RateLimit](slug_field="slug", read_only=True)

    class Meta:
        model = RateLimit
        fields = ("id", "tenant", "api_key", "member", *COMMON_FIELDS, *RATES)
        read_only_fields = fields


class QuotaSerializer(serializers.ModelSerializer[Quota]):
    """Cost is in millionths of the currency unit."""

    tenant = serializers.SlugRelatedField[Quota](slug_field="slug", read_only=True)

    class Meta:
        model = Quota
        fields = ("id", "tenant", "api_key", "member", *COMMON_FIELDS, *AMOUNTS)
        read_only_fields = fields


def apply_changes(row: Any, data: dict[str, Any]) -> None:
    """Set attributes of a row. Raises ValidationError for a route that does not exist."""
    known = row.route if row.pk else ""
    for name, value in data.items():
        setattr(row, name, value)
    check_route(row.route, known=known)
