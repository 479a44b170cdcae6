"""The usage in a window before its quota existed, approximated by the sums of hours.

Requests that were running when the quota was created are missing; a quota of requests also misses
those that failed after using tokens. If a window begins within an hour (UTC), that whole hour is
included.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Sum

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.rules import QuotaRule, counter_name
from tenants.ledger.batch_sums import CounterKey, as_json
from tenants.ledger.usage_report import floor_hour
from tenants.models import ApiKey, UsageHour
from tenants.windows import Window

EMBEDDINGS = "embeddings"
"""The door of embeddings; hours at all other doors are of the request kind chat."""
AMOUNTS = {
    "requests": F("requests") - F("failed"),
    "tokens": F("prompt_tokens") + F("completion_tokens"),
    "cost": F("cost_micro"),
}
OWNERS = {"key": "api_key_id", "member": "member_id"}

INSERT = """
    INSERT INTO tenants_quotausage AS counted
        (tenant_id, counter, "window", ends_at, used, carried, granted, version)
    SELECT tenant_id, counter, "window", to_timestamp(split_part("window", '-', 2)::bigint),
        amount, amount, 0, 1
    FROM jsonb_to_recordset(%s)
        AS used_before (tenant_id bigint, counter text, "window" text, amount bigint)
    ON CONFLICT (tenant_id, counter, "window") DO
"""
RETURNING = ' RETURNING tenant_id, counter, "window", used, granted, version'
NEW_ONES = INSERT + "NOTHING" + RETURNING
ALL = (
    INSERT
    + """
    UPDATE SET used = EXCLUDED.used,
        carried = counted.carried + EXCLUDED.used - counted.used,
        version = counted.version + 1
    WHERE counted.used < EXCLUDED.used
"""
    + RETURNING
)


def carry_new_counters(
    tenant_id: int, quotas: Mapping[QuotaRule, Window], *, now: datetime
) -> Sequence[CounterState]:
    """Create the counters without a row, with the earlier usage in their windows.

    Return the new states, to be pushed to Redis on commit.
    """
    return carry(NEW_ONES, tenant_id, quotas, now=now)


def carry_counters(
    tenant_id: int, quotas: Mapping[QuotaRule, Window], *, now: datetime
) -> Sequence[CounterState]:
    """Raise counters, including existing ones, to the usage in their windows.

    Return the new states, to be pushed to Redis on commit.
    """
    return carry(ALL, tenant_id, quotas, now=now)


def carry(
    statement: str, tenant_id: int, quotas: Mapping[QuotaRule, Window], *, now: datetime
) -> Sequence[CounterState]:
    used = {
        CounterKey(tenant_id, counter, window.id): amount
        for rule, window in quotas.items()
        for counter, amount in used_before(rule, window, now=now).items()
        if amount > 0
    }
    if not used:
        return ()
    # Sorted in the lock order of all writers.
    rows = [{**key._asdict(), "amount": used[key]} for key in sorted(used)]
    with connection.cursor() as cursor:
        cursor.execute(statement, [as_json(rows)])
        return [as_state(row) for row in cursor]


def as_state(row: Sequence[Any]) -> CounterState:
    return CounterState(**dict(zip(CounterState.__struct_fields__, row, strict=True)))


def used_before(rule: QuotaRule, window: Window, *, now: datetime) -> dict[str, int]:
    """Return the usage by counter of the rule. Needs a tenant scope."""
    hours = hours_of(rule, since=floor_hour(window.start), until=now).order_by()
    if rule.per == "tenant":
        return {name_of(rule, "tenant"): total(hours, rule)}
    column = OWNERS[rule.per]
    rows = hours.exclude(**{column: 0}).values_list(column)
    sums = rows.annotate(used=Sum(AMOUNTS[rule.unit]))
    found: dict[int, int] = defaultdict(int)
    counted_as = lineages() if rule.per == "key" else {}
    for owner, used in sums:
        found[counted_as.get(owner, owner)] += used
    only = rule.key_id or rule.member_id
    return {
        name_of(rule, f"{rule.per}:{owner}"): used
        for owner, used in found.items()
        if only in {None, owner}
    }


def hours_of(rule: QuotaRule, *, since: datetime, until: datetime) -> QuerySet[UsageHour]:
    hours = UsageHour.objects.filter(hour__gte=since, hour__lte=until)
    if rule.route:
        hours = hours.filter(route=rule.route)
    if rule.request_kind == EMBEDDINGS:
        return hours.filter(door=EMBEDDINGS)
    return hours.exclude(door=EMBEDDINGS) if rule.request_kind else hours


def total(hours: QuerySet[UsageHour], rule: QuotaRule) -> int:
    return int(hours.aggregate(used=Sum(AMOUNTS[rule.unit], default=0))["used"])


def lineages() -> dict[int, int]:
    """Return the id of the first key of the chain by the id of each rotated key."""
    return {key.pk: key.counted_as for key in ApiKey.objects.exclude(lineage=None)}


def name_of(rule: QuotaRule, owner: str) -> str:
    return counter_name(rule.scope(owner), rule.unit)
