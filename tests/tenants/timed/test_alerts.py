"""Quota alerts: each threshold is told once in a window, to each recipient of the tenant."""

from datetime import timedelta

import pytest

from tenants import services
from tenants.limits import alerts
from tenants.limits import services as limit_services
from tenants.models import AlertRecipient, Notice, QuotaAlert, QuotaUsage
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.limits import NOON, load, only_quota, own_quota


@pytest.fixture
def told(acme, rival):
    """What acme was told, oldest first. Both tenants have somebody to tell."""
    with every_tenant():
        for tenant in (acme, rival):
            AlertRecipient.objects.create(tenant=tenant, address=f"{tenant.slug}@example.org")

    def told():
        with every_tenant():
            rows = Notice.objects.order_by("pk").select_related("recipient")
            assert {row.recipient.address for row in rows} <= {"acme@example.org"}
            return [row.body["data"] for row in rows]

    return told


def use(tenant, used, *, counter="tenant|tokens", window=None, granted=0):
    window = window or only_quota(tenant).pinned
    with tenant_scope(tenant.pk):
        QuotaUsage.objects.update_or_create(
            tenant=tenant, counter=counter, window=window.id,
            defaults={"used": used, "granted": granted, "ends_at": window.end},
        )  # fmt: skip


def look(tenant, now=NOON):
    return alerts.alert_tenant(tenant.pk, now=now)


def test_a_threshold_is_told_once(acme, told):
    own_quota(acme)
    use(acme, 799)
    assert look(acme) == 0

    use(acme, 800)
    assert [look(acme), look(acme)] == [1, 0]

    (data,) = told()
    assert (data["percent"], data["used"], data["limit"]) == (80, 800, 1000)
    assert (data["counter"], data["unit"], data["source"]) == ("tenant|tokens", "tokens", "tenant")
    assert data["resets_at"] == "2026-03-11T00:00:00+00:00"


def test_a_leap_over_two_thresholds_is_told_as_the_higher_one(acme, told):
    own_quota(acme)
    use(acme, 1100)

    look(acme)

    assert [data["percent"] for data in told()] == [100]
    use(acme, 1200)
    assert look(acme) == 0


def test_a_top_up_moves_the_thresholds(acme, told):
    own_quota(acme)
    use(acme, 900, granted=1000)

    assert look(acme) == 0


@pytest.mark.parametrize("how", ["raise", "top-up"])
def test_thresholds_of_a_higher_limit_are_told_again(acme, told, how):
    quota = own_quota(acme, limit=10)
    use(acme, 10)
    look(acme)
    if how == "raise":
        quota.limit = 40
        limit_services.save_quota(rule=quota, now=NOON)
    granted = 30 if how == "top-up" else 0

    # Nobody looked in between: what counts is what was told, not who saw it.
    for used in (34, 35, 40, 41):
        use(acme, used, granted=granted)
        look(acme)

    assert [(data["percent"], data["limit"]) for data in told()] == [
        (100, 10),
        (80, 40),
        (100, 40),
    ]


def test_a_raise_that_leaves_a_threshold_behind_tells_it_once(acme, told):
    quota = own_quota(acme, limit=1000)
    use(acme, 900)
    look(acme)
    quota.limit = 1100
    limit_services.save_quota(rule=quota, now=NOON)

    assert look(acme) == 0


def test_a_lower_limit_tells_what_was_not_told_yet(acme, told):
    quota = own_quota(acme, limit=1000)
    use(acme, 800)
    look(acme)
    quota.limit = 800
    limit_services.save_quota(rule=quota, now=NOON)

    assert [look(acme), look(acme)] == [1, 0]
    assert [data["percent"] for data in told()] == [80, 100]


def test_the_next_window_tells_anew(acme, told):
    own_quota(acme)
    use(acme, 800)
    look(acme)
    tomorrow = NOON + timedelta(days=1)
    use(acme, 800, window=only_quota(acme, now=tomorrow).pinned)

    look(acme, now=tomorrow)

    assert [data["percent"] for data in told()] == [80, 80]


def test_a_key_with_a_limit_of_its_own_is_measured_by_that(acme, told):
    key = services.issue_key(tenant=acme, name="Laptop").key
    own_quota(acme, per="key")
    own_quota(acme, per="key", api_key=key, limit=10)
    window = load(acme).quotas[0].pinned
    use(acme, 900, counter="key:990001|tokens", window=window)
    use(acme, 9, counter=f"key:{key.pk}|tokens", window=window)

    look(acme)

    assert {(data["source"], data["limit"]) for data in told()} == {
        ("tenant", 1000),
        ("key Laptop", 10),
    }


def test_without_thresholds_nobody_is_told(acme, told):
    own_quota(acme, alert_at=[])
    use(acme, 5000)

    assert look(acme) == 0


def test_only_tenants_with_usage_and_somebody_to_tell_are_looked_at(acme, rival, told):
    own_quota(acme)
    own_quota(rival)
    use(acme, 800)
    assert alerts.tenants_to_alert(now=NOON) == [acme.pk]

    with every_tenant():
        AlertRecipient.objects.update(enabled=False)
    assert alerts.tenants_to_alert(now=NOON) == []


def test_a_guard_row_keeps_what_was_true_then(acme, told):
    own_quota(acme)
    use(acme, 850)
    look(acme)

    with tenant_scope(acme.pk):
        row = QuotaAlert.objects.get()
    assert (row.threshold, row.used, row.limit) == (80, 850, 1000)
