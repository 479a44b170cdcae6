"""Creates a large installation in an empty database, for `manage.py seed_scale`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction

from agents.models import Conversation, Run
from config import scale_rows
from config.scale_rows import Sizes, insert_rows, numbers
from tenants.models import (
    ApiKey,
    Membership,
    Plan,
    PlanQuota,
    PlanRateLimit,
    Tenant,
    UsageEvent,
    User,
)
from tenants.scoping import every_tenant

ROWS_AT_ONCE = 200_000
"""The number of rows of one INSERT, so that progress is reported."""

Report = Callable[[str], object]


def is_empty() -> bool:
    """Return whether this database has no tenants yet."""
    with every_tenant():
        used = (Tenant.objects.all(), UsageEvent.objects.all())
        return not any(rows.exists() for rows in used)


def seed_scale(sizes: Sizes, *, now: datetime, report: Report) -> None:
    """Create all rows or none, then statistics for the planner. Sums equal those of the ledger."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Sorting and grouping the ledger in memory is several times faster than on disk.
        cursor.execute("SET LOCAL work_mem = '256MB'")
        facts = {"now": now, "plan": add_plan().pk}
        add_tenants(sizes, facts=facts, report=report)
        add_usage(sizes, facts=facts, report=report)
        add_history(sizes, facts=facts, report=report)
    report("analyze")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def add_plan() -> Plan:
    """Create one plan for all: a quota of the tenant, one of each key, and a rate limit."""
    (plan,) = Plan.objects.bulk_create([Plan(name=scale_rows.PLAN)])
    PlanQuota.objects.bulk_create(
        [
            PlanQuota(plan=plan, per="tenant", unit="tokens", limit=10**12, period="month"),
            PlanQuota(plan=plan, per="key", unit="requests", limit=10**6, period="day"),
        ]
    )
    PlanRateLimit.objects.bulk_create([PlanRateLimit(plan=plan, requests_per_minute=60_000)])
    return plan


def add_tenants(sizes: Sizes, *, facts: Mapping[str, Any], report: Report) -> None:
    members = 2 * sizes.tenants
    add(Tenant, scale_rows.TENANT, rows=sizes.tenants, facts=facts, report=report)
    with connection.cursor() as cursor:
        cursor.execute(scale_rows.TENANTS_BY_NUMBER)
    add(User, scale_rows.USER, rows=members, facts=facts, report=report)
    joined = (
        " JOIN tenants_user AS person ON person.username = 'user' || i"
        f" JOIN scale_tenant AS tenant ON tenant.number = 1 + i %% {sizes.tenants}"
    )
    add(Membership, scale_rows.MEMBERSHIP, rows=members, joined=joined, facts=facts, report=report)
    joined = (
        " JOIN scale_tenant AS tenant ON tenant.number ="
        f" CASE WHEN i <= {sizes.big_tenant_keys} THEN 1 ELSE 2 + i %% {sizes.tenants - 1} END"
    )
    add(ApiKey, scale_rows.KEY, rows=sizes.keys, joined=joined, facts=facts, report=report)


def add_usage(sizes: Sizes, *, facts: Mapping[str, Any], report: Report) -> None:
    """Create the ledger and its sums."""
    with connection.cursor() as cursor:
        cursor.execute(scale_rows.KEYS_BY_TENANT)
        cursor.execute("CREATE INDEX ON scale_key (tenant_number, number)")
        cursor.execute("ANALYZE scale_key")
    number = scale_rows.NUMBER_OF_TENANT.format(tenants=sizes.tenants)
    joined = (
        f" JOIN LATERAL (SELECT keys FROM scale_key WHERE tenant_number = {number} LIMIT 1)"  # noqa: S608
        " AS owner ON true"
        f" JOIN scale_key AS key ON key.tenant_number = {number}"
        " AND key.number = 1 + (i / 10 * 31 + i) %% owner.keys"
    )
    add(UsageEvent, scale_rows.EVENT, rows=sizes.events, joined=joined, facts=facts, report=report)
    with connection.cursor() as cursor:
        for name, statement in (("hours", scale_rows.HOURS), ("counters", scale_rows.COUNTERS)):
            cursor.execute(statement)
            report(f"{name} of usage: {cursor.rowcount:,}")


def add_history(sizes: Sizes, *, facts: Mapping[str, Any], report: Report) -> None:
    """Create the audit log, and conversations with runs."""
    joined = (
        " JOIN tenants_apikey AS key ON key.public_id ="
        f" lpad(to_hex(1 + (i * 7919) %% {sizes.keys}), 12, 's')"
        f" JOIN tenants_user AS person ON person.username = 'user' || 1 + i %% {2 * sizes.tenants}"
    )
    with_type = {**facts, "content_type": ContentType.objects.get_for_model(ApiKey).pk}
    add(
        LogEntry,
        scale_rows.AUDIT_ENTRY,
        rows=sizes.audit_entries,
        days=scale_rows.AUDIT_DAYS,
        joined=joined,
        facts=with_type,
        report=report,
    )
    number = scale_rows.NUMBER_OF_TENANT.format(tenants=sizes.tenants)
    joined = f" JOIN scale_tenant AS tenant ON tenant.number = {number}"
    rows = sizes.conversations
    add(
        Conversation,
        scale_rows.CONVERSATION,
        rows=rows,
        joined=joined,
        facts=facts,
        report=report,
    )
    joined = (
        " JOIN agents_conversation AS conversation ON conversation.public_id ="
        f" 'conv_scale' || lpad((1 + i %% {rows})::text, 8, '0')"
    )
    add(Run, scale_rows.RUN, rows=sizes.runs, joined=joined, facts=facts, report=report)


def add(
    model: type[models.Model],
    values: Mapping[str, str],
    *,
    rows: int,
    facts: Mapping[str, Any],
    report: Report,
    joined: str = "",
    days: int = scale_rows.USAGE_DAYS,
) -> None:
    """Insert rows 1 to `rows` of a table, in batches."""
    name = model._meta.verbose_name_plural  # noqa: SLF001 - Django documents it
    for first in range(1, rows + 1, ROWS_AT_ONCE):
        last = min(rows, first + ROWS_AT_ONCE - 1)
        piece = {**facts, "first": first, "last": last}
        insert_rows(model, values, source=numbers(rows, days=days) + joined, facts=piece)
        report(f"{name}: {last:,} of {rows:,}")
