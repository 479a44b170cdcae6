"""What was used in a window before its quota was made: added up from the hours, so approximate.

Requests that ran when the quota came are missing, and so are those that failed after using tokens,
from a quota of requests; where a window begins within an hour of UTC, that whole hour is in it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet, Sum

from tenants.admission.limits.rules import CounterState, QuotaRule, counter_name
from tenants.ledger.batch_sums import CounterKey, as_json
from tenants.ledger.usage_report import floor_hour
from tenants.models import ApiKey, UsageHour
from tenants.windows import Window

EMBEDDINGS = "embeddings"
"""A door, and the only kind of requests beside those of chat that hours tell apart."""
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
) -> None:
    """Let counters that have counted nothing yet begin with what was used in their window."""
    carry(NEW_ONES, tenant_id, quotas, now=now)


def carry_counters(tenant_id: int, quotas: Mapping[QuotaRule, Window], *, now: datetime) -> None:
    """Raise counters to what was used in their window, also those that have missed a part of it."""
    carry(ALL, tenant_id, quotas, now=now)


def carry(
    statement: str, tenant_id: int, quotas: Mapping[QuotaRule, Window], *, now: datetime
) -> None:
    from tenants.limits.top_ups import push_counters

    used = {
        CounterKey(tenant_id, counter, window.id): amount
        for rule, window in quotas.items()
        for counter, amount in used_before(rule, window, now=now).items()
        if amount > 0
    }
    if not used:
        return
    # Sorted, as all who lock several counters lock them.
    rows = [{**key._asdict(), "amount": used[key]} for key in sorted(used)]
    with connection.cursor() as cursor:
        cursor.execute(statement, [as_json(rows)])
        states = [as_state(row) for row in cursor]
    if states:
        transaction.on_commit(partial(push_counters, states))


def as_state(row: Sequence[Any]) -> CounterState:
    return CounterState(**dict(zip(CounterState.__struct_fields__, row, strict=True)))


def used_before(rule: QuotaRule, window: Window, *, now: datetime) -> dict[str, int]:
    """By counter of the rule. Asks inside a tenant scope."""
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
    if rule.door == EMBEDDINGS:
        return hours.filter(door=EMBEDDINGS)
    return hours.exclude(door=EMBEDDINGS) if rule.door else hours


def total(hours: QuerySet[UsageHour], rule: QuotaRule) -> int:
    return int(hours.aggregate(used=Sum(AMOUNTS[rule.unit], default=0))["used"])


def lineages() -> dict[int, int]:
    """Keys that replaced others, and as which each of them is counted."""
    return {key.pk: key.counted_as for key in ApiKey.objects.exclude(lineage=None)}


def name_of(rule: QuotaRule, owner: str) -> str:
    return counter_name(rule.scope(owner), rule.unit)
