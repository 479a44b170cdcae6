"""The pages of quotas' history name owners, write cost as money, and count what is open."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tenants import services
from tenants.models import QuotaAlert, QuotaTopUp, QuotaUsage, QuotaWindow
from tenants.windows import Calendar, window_at


@pytest.fixture
def month():
    return window_at(timezone.now(), Calendar(period="month"))


def opened(tenant, window, *, slot, limit, **facts):
    return QuotaWindow._base_manager.create(
        tenant=tenant,
        slot=slot,
        starts_at=window.start,
        ends_at=window.end,
        time_zone="UTC",
        limit=limit,
        **facts,
    )


def use(tenant, window, *, counter, used):
    QuotaUsage._base_manager.create(
        tenant=tenant, counter=counter, window=window.id, ends_at=window.end, used=used, version=1
    )


def listed(console, model):
    return console.get(reverse(f"admin:tenants_{model}_changelist")).content.decode()


def test_an_open_window_says_what_is_used_by_now(console, acme, rival, month):
    opened(acme, month, slot="tenant|tokens|month", limit=1000)
    use(acme, month, counter="tenant|tokens", used=250)
    use(rival, month, counter="tenant|tokens", used=999)
    assert "25 % of 1,000" in listed(console, "quotawindow")


def test_a_slot_for_each_key_counts_those_without_one_of_their_own(console, acme, month):
    opened(acme, month, slot="key|tokens|month", limit=1000)
    opened(acme, month, slot="key:2|tokens|month", limit=10)
    for key, used in ((1, 300), (2, 5), (3, 100)):
        use(acme, month, counter=f"key:{key}|tokens", used=used)
    text = listed(console, "quotawindow")
    assert "40 % of 1,000" in text
    assert "50 % of 10" in text


def test_a_closed_window_keeps_what_it_had(console, acme, month):
    opened(acme, month, slot="tenant|tokens|month", limit=100, used=90, closed_at=timezone.now())
    use(acme, month, counter="tenant|tokens", used=1)
    assert "90 % of 100" in listed(console, "quotawindow")


def test_cost_is_money(console, acme, month):
    opened(acme, month, slot="tenant|cost|month", limit=500_000_000)
    use(acme, month, counter="tenant|cost", used=125_000_000)
    text = listed(console, "quotawindow")
    assert "125.00" in text
    assert "25 % of 500.00" in text
    assert "500,000,000" not in text


def test_a_key_has_its_name(console, acme, month):
    key = services.issue_key(tenant=acme, name="Laptop").key
    opened(acme, month, slot=f"key:{key.pk}|tokens|month", limit=1000)
    text = listed(console, "quotawindow")
    assert "Laptop" in text
    assert f"[key {key.pk}]" not in text


def test_so_do_alerts_and_top_ups(console, acme, month):
    key = services.issue_key(tenant=acme, name="Laptop").key
    facts = {"tenant": acme, "counter": f"key:{key.pk}|cost", "window": month.id}
    QuotaTopUp._base_manager.create(**facts, amount=2_500_000, reason="because")
    QuotaAlert._base_manager.create(**facts, threshold=80, used=8_000_000, limit=10_000_000)
    assert {"Laptop", "2.50"} <= set(words(listed(console, "quotatopup")))
    assert "8.00 of 10.00" in listed(console, "quotaalert")


def words(text):
    return [word for word in ("Laptop", "2.50") if word in text]


def test_the_number_of_queries_does_not_grow_with_the_rows(
    console, acme, month, django_assert_max_num_queries
):
    for number in range(20):
        start = month.start - timedelta(days=40 * number)
        window = window_at(start, Calendar(period="month"))
        opened(acme, window, slot=f"key:{number}|tokens|month", limit=1000)
    with django_assert_max_num_queries(12):
        listed(console, "quotawindow")
