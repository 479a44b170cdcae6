"""The shape of `/tenants/{slug}/limits`: the same report that the console's page shows."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from tenants.counters.view import Refusal
from tenants.limits.report import LimitsReport, QuotaLine, RateLine
from tenants.limits.status import ScopeUsage
from tenants.models.limit_rules import Door, Per, QuotaRule

OWNER = (
    "`tenant`, `key:<id>` or `member:<id>`. Keys that replaced each other by rotation are "
    "counted as the first one: `counted_as` of the key."
)


class RunningSerializer(serializers.Serializer[Any]):
    owner = serializers.CharField(help_text=OWNER)
    running = serializers.IntegerField(allow_null=True, help_text="null: not known.")
    requests_left = serializers.IntegerField(
        allow_null=True, help_text="That may come at once now; null: unlimited, or not known."
    )
    tokens_left = serializers.IntegerField(allow_null=True)


class CounterSerializer(serializers.Serializer[Any]):
    owner = serializers.CharField(help_text=OWNER)
    counter = serializers.CharField()
    used = serializers.IntegerField()
    held = serializers.IntegerField(
        allow_null=True, help_text="By running requests; null: not known."
    )
    granted = serializers.IntegerField(help_text="On top of the limit.")
    carried = serializers.IntegerField(
        help_text="Of `used`: from before the quota was made, added up from whole hours."
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
    overridden_by = serializers.CharField(help_text="Empty if it is in force.")
    except_for = serializers.ListField(child=serializers.CharField())
    per = serializers.ChoiceField(choices=Per.choices)
    route = serializers.CharField()
    door = serializers.ChoiceField(choices=Door.choices, allow_blank=True)
    api_key = serializers.IntegerField(allow_null=True)
    member = serializers.IntegerField(allow_null=True)
    shadow = serializers.BooleanField(
        help_text="It counts beside the limits that are enforced: it refuses nothing and takes "
        "the place of none of them."
    )
    more = serializers.IntegerField(help_text="Keys or members that are not listed.")


class RateInForceSerializer(LimitSerializer):
    requests_per_minute = serializers.IntegerField(allow_null=True)
    request_burst = serializers.IntegerField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    token_burst = serializers.IntegerField(allow_null=True)
    concurrency = serializers.IntegerField(allow_null=True)
    running = RunningSerializer(many=True)


class QuotaInForceSerializer(LimitSerializer):
    unit = serializers.ChoiceField(choices=QuotaRule.Unit.choices)
    limit = serializers.IntegerField()
    period = serializers.ChoiceField(choices=QuotaRule.Period.choices)
    hard = serializers.BooleanField()
    window = WindowSerializer(allow_null=True)
    counters = CounterSerializer(many=True)


class RefusalSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    scope = serializers.CharField()
    owner = serializers.CharField(help_text="`key:<id>`, or empty.")
    at = serializers.DateTimeField()
    count = serializers.IntegerField()
    shadow = serializers.BooleanField(help_text="They were let through.")


class TenantLimitsSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    plan = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    is_live = serializers.BooleanField(
        help_text="False while Redis is away: then holds and running requests are not known."
    )
    rate_limits = RateInForceSerializer(many=True)
    quotas = QuotaInForceSerializer(many=True)
    refusals = RefusalSerializer(many=True)


def as_json(report: LimitsReport, *, refusals: Iterable[Refusal]) -> dict[str, Any]:
    """What TenantLimitsSerializer writes."""
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


def limit_json(line: RateLine | QuotaLine) -> dict[str, Any]:
    rule = line.rule
    return {
        "origin": rule.source,
        "overridden_by": line.overridden_by,
        "except_for": list(line.origin.except_for),
        "per": rule.per,
        "route": rule.route,
        "door": rule.door,
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


def quota_json(line: QuotaLine, report: LimitsReport) -> dict[str, Any]:
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


def window_json(line: QuotaLine, report: LimitsReport) -> dict[str, Any] | None:
    if line.window is None:
        return None
    return {
        "id": line.window.id,
        "starts_at": line.window.start,
        "resets_at": line.window.end,
        "time_zone": line.rule.calendar.zone,
        "resets_in_seconds": int((line.window.end - report.now).total_seconds()),
    }


def counter_json(line: QuotaLine, counted: ScopeUsage) -> dict[str, Any]:
    return {
        "owner": counted.owner,
        "counter": counted.counter,
        "used": counted.used,
        "held": counted.held,
        "granted": counted.granted,
        "carried": counted.carried,
        "remaining": line.remaining(counted),
    }
