"""The format of `/tenants/{slug}/limits`, the report of the console's page."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from tenants.counters.view import RefusedRequests
from tenants.limits.report import LimitsReport, QuotaReport, RateLine
from tenants.limits.status import ScopeUsage
from tenants.models.limit_rules import Per, QuotaLimitRule, RequestKind

OWNER = (
    "`tenant`, `key:<id>` or `member:<id>`. Rotated keys are counted as the first key of their "
    "chain: `counted_as` of the key."
)


class RunningSerializer(serializers.Serializer[Any]):
    owner = serializers.CharField(help_text=OWNER)
    running = serializers.IntegerField(allow_null=True, help_text="null: unknown.")
    requests_left = serializers.IntegerField(
        allow_null=True,
        help_text="Requests that would be admitted now at once; null: unlimited or unknown.",
    )
    tokens_left = serializers.IntegerField(allow_null=True)


class CounterSerializer(serializers.Serializer[Any]):
    owner = serializers.CharField(help_text=OWNER)
    counter = serializers.CharField()
    used = serializers.IntegerField()
    held = serializers.IntegerField(
        allow_null=True, help_text="Amount held by running requests; null: unknown."
    )
    granted = serializers.IntegerField(help_text="Added to the limit.")
    carried = serializers.IntegerField(
        help_text="Part of `used` from before the quota existed, a sum of full hours."
    )
    remaining = serializers.IntegerField()


class WindowSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    starts_at = serializers.DateTimeField()
    resets_at = serializers.DateTimeField()
    time_zone = serializers.CharField()
    resets_in_seconds = serializers.IntegerField()


class LimitSerializer(serializers.Serializer[Any]):
    origin = serializers.CharField(help_text="`plan …`, `tenant`, `key …` or `member …`.")
    overridden_by = serializers.CharField(
        help_text="Source of the override; empty if the limit is in force."
    )
    except_for = serializers.ListField(child=serializers.CharField())
    per = serializers.ChoiceField(choices=Per.choices)
    route = serializers.CharField()
    request_kind = serializers.ChoiceField(choices=RequestKind.choices, allow_blank=True)
    api_key = serializers.IntegerField(allow_null=True)
    member = serializers.IntegerField(allow_null=True)
    shadow = serializers.BooleanField(
        help_text="Counts and reports without refusing. Does not override enforced limits."
    )
    more = serializers.IntegerField(help_text="Number of keys or members that are not listed.")


class RateInForceSerializer(LimitSerializer):
    requests_per_minute = serializers.IntegerField(allow_null=True)
    request_burst = serializers.IntegerField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    token_burst = serializers.IntegerField(allow_null=True)
    concurrency = serializers.IntegerField(allow_null=True)
    running = RunningSerializer(many=True)


class QuotaInForceSerializer(LimitSerializer):
    unit = serializers.ChoiceField(choices=QuotaLimitRule.Unit.choices)
    limit = serializers.IntegerField()
    period = serializers.ChoiceField(choices=QuotaLimitRule.Period.choices)
    hard = serializers.BooleanField()
    window = WindowSerializer(allow_null=True)
    counters = CounterSerializer(many=True)


class RefusalSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    scope = serializers.CharField()
    owner = serializers.CharField(help_text="`key:<id>`, or empty.")
    at = serializers.DateTimeField()
    count = serializers.IntegerField()
    shadow = serializers.BooleanField(help_text="Whether the requests were admitted.")


class TenantLimitsSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    plan = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    is_live = serializers.BooleanField(
        help_text="False while Redis is unavailable: then holds and running requests are unknown."
    )
    rate_limits = RateInForceSerializer(many=True)
    quotas = QuotaInForceSerializer(many=True)
    refusals = RefusalSerializer(many=True)


def as_json(report: LimitsReport, *, refusals: Iterable[RefusedRequests]) -> dict[str, Any]:
    """Return the data for TenantLimitsSerializer."""
    plan = report.tenant.plan
    return {
        "tenant": report.tenant.slug,
        "plan": plan.name if plan else None,
        "as_of": report.now,
        "is_live": report.is_live,
        "rate_limits": [rate_json(line) for line in report.rates],
        "quotas": [quota_json(line, report) for line in report.quotas],
        "refusals": list(refusals),
    }


def limit_json(line: RateLine | QuotaReport) -> dict[str, Any]:
    rule = line.rule
    return {
        "origin": rule.source,
        "overridden_by": line.overridden_by,
        "except_for": list(line.origin.except_for),
        "per": rule.per,
        "route": rule.route,
        "request_kind": rule.request_kind,
        "api_key": getattr(line.origin.row, "api_key_id", None),
        "member": rule.member_id,
        "shadow": rule.shadow,
    }


def rate_json(line: RateLine) -> dict[str, Any]:
    rule = line.rule
    return {
        **limit_json(line),
        "requests_per_minute": rule.requests_per_minute,
        "request_burst": rule.request_burst,
        "tokens_per_minute": rule.tokens_per_minute,
        "token_burst": rule.token_burst,
        "concurrency": rule.concurrency,
        "running": line.running.rows,
        "more": line.running.more,
    }


def quota_json(line: QuotaReport, report: LimitsReport) -> dict[str, Any]:
    rule = line.rule
    return {
        **limit_json(line),
        "unit": rule.unit,
        "limit": rule.limit,
        "period": rule.calendar.period,
        "hard": rule.hard,
        "window": window_json(line, report),
        "counters": [counter_json(line, each) for each in line.counted.rows],
        "more": line.counted.more,
    }


def window_json(line: QuotaReport, report: LimitsReport) -> dict[str, Any] | None:
    if line.window is None:
        return None
    return {
        "id": line.window.id,
        "starts_at": line.window.start,
        "resets_at": line.window.end,
        "time_zone": line.rule.calendar.zone,
        "resets_in_seconds": int((line.window.end - report.now).total_seconds()),
    }


def counter_json(line: QuotaReport, counted: ScopeUsage) -> dict[str, Any]:
    return {
        "owner": counted.owner,
        "counter": counted.counter,
        "used": counted.used,
        "held": counted.held,
        "granted": counted.granted,
        "carried": counted.carried,
        "remaining": line.remaining(counted),
    }
