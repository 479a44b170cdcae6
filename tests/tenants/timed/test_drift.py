"""Reconciliation: whatever drifted from the ledger is counted and repaired, upward only."""

from datetime import UTC, datetime

import pytest
from django.conf import settings

from kernel.storage.redis import connect
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.redis_counters.keys import scope_key, tenant_key
from tenants.admission.usage.records import Charge
from tenants.counters import commands as counter_commands
from tenants.counters.state import fetch_live
from tenants.ledger import append_usage, reconcile_job
from tenants.models import QuotaUsage
from tenants.scoping import tenant_scope
from tests.fixtures.limits.limits import NOON
from tests.fixtures.limits.usage import record

pytest.importorskip("tenants.ledger.reconciliation", reason="the ledger's part is not merged yet")

WINDOW = f"{int(NOON.timestamp()) - 3600}-{int(NOON.timestamp()) + 3600}"
KEY = ("tenant|tokens", WINDOW)


@pytest.fixture
def redis(acme):
    """Redis with a scope of acme in it."""
    with connect(settings.REDIS_LIMITS_URL) as client:
        client.sadd(tenant_key(acme.pk, "scopes"), "tenant")
        yield client
        client.delete(tenant_key(acme.pk, "scopes"), scope_key(acme.pk, "tenant"))


@pytest.fixture
def charged(acme):
    """Seven tokens in acme's ledger."""
    charges = (Charge(counter=KEY[0], window=WINDOW, amount=7),)
    append_usage([record(tenant_id=acme.pk, charges=charges, started_at=NOON.isoformat())])


def rows(tenant):
    with tenant_scope(tenant.pk):
        return QuotaUsage.objects.filter(counter=KEY[0])


def seen_in_redis(tenant):
    return fetch_live(tenant.pk).windows[KEY].used


def copy(client, tenant, *, used, version):
    fields = {f"u:tokens:{WINDOW}": used, f"v:tokens:{WINDOW}": version, f"g:tokens:{WINDOW}": 0}
    client.hset(scope_key(tenant.pk, "tenant"), mapping=fields)


def reconcile(tenant):
    """All of the repairs, first in PostgreSQL and then in Redis."""
    repaired = reconcile_job.reconcile_counters(now=NOON)
    return repaired + reconcile_job.reconcile_copies(tenant.pk, now=NOON)


def test_what_is_in_step_is_left_alone(acme, charged, redis):
    copy(redis, acme, used=7, version=1)

    assert reconcile(acme) == 0
    assert rows(acme).get().version == 1


def test_a_counter_that_lacks_something_is_raised(acme, charged, redis):
    rows(acme).update(used=3)

    assert [reconcile(acme), reconcile(acme)] == [1, 0]

    assert rows(acme).get().used == 7


def test_a_copy_that_is_older_is_replaced_and_no_drift(acme, charged, redis):
    copy(redis, acme, used=2, version=0)

    assert reconcile(acme) == 0
    assert seen_in_redis(acme) == 7


@pytest.mark.parametrize("version", [1, 900])
def test_a_copy_that_is_wrong_but_not_older_is_outdone(acme, charged, redis, version):
    copy(redis, acme, used=2, version=version)

    assert [reconcile(acme), reconcile(acme)] == [1, 0]

    assert seen_in_redis(acme) == 7
    assert rows(acme).get().version == version + 1


def test_what_redis_does_not_have_stays_missing(acme, charged, redis):
    reconcile(acme)

    assert seen_in_redis(acme) is None


def test_another_tenants_counters_are_left_alone(acme, rival, charged, redis):
    counter_commands.push_states(
        [CounterState(tenant_id=rival.pk, counter=KEY[0], window=WINDOW, version=1)]
    )

    assert reconcile(rival) == 0


def test_hours_are_made_to_agree(acme, charged):
    from tenants.models import UsageHour

    with tenant_scope(acme.pk):
        UsageHour.objects.update(completion_tokens=0)

    assert [reconcile_job.reconcile_hours(now=NOON) for _ in range(2)] == [1, 0]

    with tenant_scope(acme.pk):
        hour = UsageHour.objects.get()
    assert (hour.completion_tokens, hour.hour) == (5, datetime(2026, 3, 10, 12, tzinfo=UTC))
