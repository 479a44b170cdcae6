"""What was derived from the ledger is compared with it, and mended upward."""

from datetime import UTC, datetime, timedelta

import pytest

from tenants.ledger import append_usage, bill_abandoned, load_counters
from tenants.ledger.reconciliation import (
    find_counter_drift,
    find_hour_drift,
    raise_counters,
    rebuild_hours,
    sum_charges,
)
from tenants.models import QuotaUsage, UsageHour
from tests.fixtures.limits.usage import WINDOW, charge, charged, record

DAY = datetime(2026, 1, 2, tzinfo=UTC)
NOW = DAY + timedelta(hours=12)
SPAN = {"since": DAY, "until": DAY + timedelta(days=1)}

pytestmark = pytest.mark.usefixtures("db", "seen_by_all")


@pytest.fixture
def history():
    """Two tenants, two counters, a correction."""
    append_usage([charged(1, 8), charged(2, 5, tenant_id=2)])
    append_usage([record(3, api_key_id=7, charges=(charge(3, "key:7|tokens"), charge(3)))])
    bill_abandoned([charged(4, 20)])
    append_usage([charged(4, 10)])


def used(tenant_id=1):
    return load_counters(tenant_id, [("tenant|tokens", WINDOW)])[0]


def test_what_gateways_wrote_agrees(history):
    assert find_counter_drift(now=NOW) == []
    assert find_hour_drift(**SPAN) == []


def test_charges_add_up_over_tenants_and_corrections(history):
    sums = sum_charges(**SPAN)

    assert {key.counter: amount for key, amount in sums.items() if key.tenant_id == 1} == {
        "tenant|tokens": 21,
        "key:7|tokens": 3,
    }
    assert sum_charges(**SPAN, tenant_id=2) == {(2, "tenant|tokens", WINDOW): 5}


def test_a_counter_that_lacks_something_is_raised_with_a_new_version(history):
    before = used()
    QuotaUsage.objects.filter(tenant_id=1, counter="tenant|tokens").update(used=1)

    (drift,) = raise_counters(now=NOW)

    assert (drift.charged, drift.used, drift.amount) == (21, 1, 20)
    assert (used().used, used().version) == (21, before.version + 1)
    assert find_counter_drift(now=NOW) == []


def test_a_counter_that_has_too_much_is_told_and_left(history):
    QuotaUsage.objects.filter(tenant_id=1, counter="tenant|tokens").update(used=50)

    (drift,) = raise_counters(now=NOW)

    assert (drift.charged, drift.used) == (21, 50)
    assert used().used == 50


def test_a_counter_that_is_gone_comes_back(history):
    QuotaUsage.objects.filter(counter="key:7|tokens").delete()

    raise_counters(now=NOW)

    (state,) = load_counters(1, [("key:7|tokens", WINDOW)])
    assert (state.used, state.version) == (3, 1)


def test_where_no_counter_is_left_they_come_back_from_a_known_time(history):
    QuotaUsage.objects.all().delete()

    assert find_counter_drift(now=NOW) == []
    raise_counters(now=NOW, since=datetime(2026, 1, 1, tzinfo=UTC))

    assert (used(1).used, used(2).used) == (21, 5)


def test_one_tenant_is_mended_alone(history):
    QuotaUsage.objects.update(used=0)

    raise_counters(now=NOW, tenant_id=2)

    assert (used(1).used, used(2).used) == (0, 5)


def test_windows_that_are_over_are_left(history):
    QuotaUsage.objects.update(used=0)

    assert find_counter_drift(now=datetime(2026, 2, 1, tzinfo=UTC)) == []


def test_top_ups_are_no_drift(history):
    QuotaUsage.objects.update(granted=1000)

    assert find_counter_drift(now=NOW) == []


def test_an_hour_is_set_right_in_both_directions(history):
    before = list(UsageHour.objects.order_by("pk").values())
    UsageHour.objects.filter(tenant_id=1).update(prompt_tokens=99, requests=0)

    drift = rebuild_hours(**SPAN)

    assert {each.key.tenant_id for each in drift} == {1}
    assert list(UsageHour.objects.order_by("pk").values()) == before
    assert find_hour_drift(**SPAN) == []


def test_an_hour_that_is_gone_comes_back_and_one_too_many_is_emptied(history):
    UsageHour.objects.filter(tenant_id=2).delete()
    UsageHour.objects.create(tenant_id=3, hour=DAY, route="tiny", door="chat", requests=4)

    assert len(rebuild_hours(**SPAN)) == 2

    assert UsageHour.objects.get(tenant_id=2).requests == 1
    assert UsageHour.objects.get(tenant_id=3).requests == 0
    assert find_hour_drift(**SPAN) == []


def test_hours_outside_the_span_are_left(history):
    UsageHour.objects.update(requests=77)
    yesterday = {"since": DAY - timedelta(days=1), "until": DAY}

    assert rebuild_hours(**yesterday) == []
