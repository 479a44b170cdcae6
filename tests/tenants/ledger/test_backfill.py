"""The migration that sums up what was used before hours were kept."""

from importlib import import_module

import pytest
from django.db import connection

from tenants.ledger import append_usage, bill_abandoned
from tenants.models import UsageHour
from tests.fixtures.limits.usage import record

migration = import_module("tenants.migrations.0007_ledger_backfills_hours")

pytestmark = pytest.mark.usefixtures("db", "seen_by_all")


def hours():
    return list(UsageHour.objects.order_by("tenant_id", "hour", "api_key_id").values())


def without_ids(rows):
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def backfill():
    with connection.cursor() as cursor:
        cursor.execute(migration.BACKFILL)


def test_the_migration_sums_up_what_gateways_would_have():
    append_usage([record(1, tenant_id=1, cost_micro=9), record(2, tenant_id=2, api_key_id=4)])
    append_usage([record(3, status="failed", started_at="2026-01-02T04:00:00Z")])
    bill_abandoned([record(4, cached_tokens=2)])
    append_usage([record(4, cached_tokens=1)])
    kept = hours()
    UsageHour.objects.all().delete()

    backfill()

    assert without_ids(hours()) == without_ids(kept)
    backfill()
    assert without_ids(hours()) == without_ids(kept)
