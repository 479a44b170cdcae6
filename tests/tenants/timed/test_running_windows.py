"""A window that has begun ends as it began, whatever is changed meanwhile."""

import threading
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine
from django.db import connection

from tenants import services
from tenants.limits import services as limit_services
from tenants.models import QuotaWindow
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.limits import NOON, load, make_plan, only_quota, own_quota, plan_quota

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 3, 11, tzinfo=UTC)
"""The end of the day that NOON lies in."""


def rows(tenant):
    with tenant_scope(tenant.pk):
        return list(QuotaWindow.objects.order_by("starts_at"))


def set_zone(tenant, zone):
    tenant.time_zone = zone
    with time_machine.travel(NOON):
        services.save_tenant(tenant=tenant)


def set_hour(tenant, hour):
    rule = limit_services.Quota._base_manager.get(tenant=tenant)
    rule.start_hour = hour
    limit_services.save_quota(rule=rule, now=NOON)


def set_anchor(tenant, _):
    rule = limit_services.Quota._base_manager.get(tenant=tenant)
    rule.anchor = date(2026, 3, 2)
    rule.every = 3
    limit_services.save_quota(rule=rule, now=NOON)


def test_the_first_load_opens_the_running_window_once(acme, rival):
    own_quota(acme)
    own_quota(rival)

    first, second = only_quota(acme).pinned, only_quota(acme, now=NOON + HOUR).pinned

    assert first == second
    (row,) = rows(acme)
    assert (row.slot, row.window, row.limit) == ("tenant|tokens|day", first, 1000)
    assert (row.time_zone, row.closed_at) == ("UTC", None)
    assert rows(rival) == []


@pytest.mark.parametrize(("change", "value"), [(set_zone, "Asia/Tokyo"), (set_hour, 6)])
def test_a_change_is_in_force_from_the_next_window(acme, change, value):
    own_quota(acme)
    before = only_quota(acme).pinned

    change(acme, value)

    assert only_quota(acme).pinned == before
    after = only_quota(acme, now=before.end).pinned
    assert (after.start, after.end - after.start < 24 * HOUR) == (before.end, True)
    following = only_quota(acme, now=after.end).pinned
    assert (following.start, following.end - following.start) == (after.end, 24 * HOUR)


def test_a_new_anchor_is_in_force_from_the_next_window(acme):
    own_quota(acme, period="days", every=2, anchor=date(2026, 3, 1))
    before = only_quota(acme).pinned

    set_anchor(acme, None)

    assert only_quota(acme).pinned == before
    after = only_quota(acme, now=before.end).pinned
    assert after.start == before.end
    assert after.end == datetime(2026, 3, 14, tzinfo=UTC)


def test_a_change_after_days_without_a_load_does_not_touch_the_running_window(acme):
    own_quota(acme)
    only_quota(acme, now=NOON - timedelta(days=5))

    set_hour(acme, 6)

    assert only_quota(acme).pinned.end == MIDNIGHT
    assert len(rows(acme)) == 6


def test_a_plans_change_leaves_the_running_windows_of_all_its_tenants(acme, rival):
    plan = make_plan()
    rule = plan_quota(plan)
    for tenant in (acme, rival):
        limit_services.set_plan(tenant=tenant, plan=plan, now=NOON)
        load(tenant, now=NOON - timedelta(days=2))

    rule.time_zone = "Asia/Tokyo"
    limit_services.save_plan_quota(rule=rule, now=NOON)

    assert [only_quota(tenant).pinned.end for tenant in (acme, rival)] == [MIDNIGHT] * 2


def test_an_override_follows_on_the_plans_window(acme):
    plan = make_plan()
    plan_quota(plan, start_hour=6)
    limit_services.set_plan(tenant=acme, plan=plan, now=NOON)
    before = only_quota(acme).pinned

    own_quota(acme, start_hour=0)

    assert (only_quota(acme).pinned, only_quota(acme).source) == (before, "tenant")


def test_the_first_limit_for_one_key_follows_on_the_window_of_all(acme):
    key = services.issue_key(tenant=acme, name="Laptop").key
    own_quota(acme, per="key", start_hour=6)
    before = only_quota(acme).pinned

    own_quota(acme, per="key", api_key=key)

    assert [each.pinned for each in load(acme).quotas] == [before, before]


def test_a_limit_that_comes_back_overlaps_nothing_and_fills_nothing_in(acme):
    rule = own_quota(acme, start_hour=6)
    old = only_quota(acme).pinned
    limit_services.delete_limit(rule=rule, now=NOON)
    with every_tenant():
        QuotaWindow.objects.update(closed_at=old.end)

    own_quota(acme, start_hour=0, now=old.end)

    assert only_quota(acme, now=old.end).pinned.start == old.end
    only_quota(acme, now=old.end + timedelta(days=9))
    assert len(rows(acme)) == 11


def test_windows_that_nobody_opened_are_filled_in(acme):
    own_quota(acme, period="hour")
    only_quota(acme)

    last = only_quota(acme, now=NOON + 25 * HOUR).pinned

    found = rows(acme)
    assert len(found) == 26
    assert all(one.ends_at == two.starts_at for one, two in pairwise(found))
    assert found[-1].window == last


def test_after_years_only_the_running_window_is_opened(acme):
    own_quota(acme, period="hour")
    only_quota(acme)

    only_quota(acme, now=NOON + timedelta(days=400))

    assert len(rows(acme)) == 2


def test_a_clock_that_is_behind_opens_nothing(acme):
    own_quota(acme)
    ahead = only_quota(acme, now=MIDNIGHT).pinned

    assert only_quota(acme, now=MIDNIGHT - timedelta(seconds=1)).pinned == ahead
    assert len(rows(acme)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_open_at_once_open_one(acme):
    own_quota(acme)
    own_quota(acme, period="hour")
    start = threading.Barrier(6)
    seen = []

    def open_it():
        start.wait()
        seen.append(load(acme).quotas)
        connection.close()

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(seen)) == 1
    assert len(rows(acme)) == 2
