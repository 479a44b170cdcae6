"""`manage.py seed_scale` makes an installation whose sums are those of its ledger."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.scale_rows import Sizes
from tenants.ledger.reconciliation import find_hour_drift, sum_charges
from tenants.limits.report import report_limits
from tenants.models import ApiKey, QuotaUsage, Tenant, UsageEvent
from tenants.scoping import every_tenant
from tests.fixtures.console.people import rows

SIZES = {
    "tenants": 4,
    "keys": 30,
    "big_tenant_keys": 12,
    "events": 400,
    "audit_entries": 20,
    "runs": 12,
    "conversations": 6,
}


@pytest.fixture
def seeded(db):
    call_command("seed_scale", verbosity=0, **SIZES)


def test_it_makes_as_many_rows_as_were_asked_for(seeded):
    assert Tenant.objects.count() == 4
    assert rows(ApiKey).count() == 30
    assert rows(ApiKey).filter(tenant__slug="t0001").count() == 12
    assert rows(UsageEvent).count() == 400
    assert LogEntry.objects.count() == 20


def test_its_sums_agree_with_its_ledger(seeded):
    now = timezone.now()
    span = {"since": now - timedelta(days=70), "until": now + timedelta(days=1)}
    with every_tenant():
        counted = {
            (each.tenant_id, each.counter, each.window): each.used
            for each in QuotaUsage.objects.all()
        }
        assert sum_charges(**span) == counted
        assert find_hour_drift(**span) == []


def test_its_counters_are_those_that_the_product_looks_for(seeded):
    for tenant in Tenant.objects.all():
        newest = rows(UsageEvent).filter(tenant=tenant).latest("started_at").started_at
        (of_tenant, of_keys) = report_limits(tenant, now=newest, live=None).quotas
        assert of_tenant.counted.rows[0].used > 0
        assert of_keys.counted.rows[0].used > 0


def test_a_later_event_has_a_higher_number(seeded):
    times = list(rows(UsageEvent).order_by("pk").values_list("started_at", flat=True))
    assert times == sorted(times)


def test_it_refuses_a_database_that_somebody_uses(acme):
    with pytest.raises(CommandError, match="has tenants"):
        call_command("seed_scale", verbosity=0, **SIZES)
    assert not rows(UsageEvent).exists()


def test_it_refuses_sizes_that_cannot_be(db):
    with pytest.raises(CommandError, match="one key for each tenant"):
        call_command("seed_scale", verbosity=0, **{**SIZES, "keys": 12})
    assert Sizes().are_possible
