"""Windows that are over: history, the next window, roll-over; once, and however late."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection

from kernel.storage.redis import connect
from tenants import services
from tenants.admission.redis_counters.keys import scope_key
from tenants.limits import resets
from tenants.limits import services as limit_services
from tenants.models import AlertRecipient, Notice, QuotaUsage, QuotaWindow
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.limits import NOON, load, only_quota, own_quota
from tests.fixtures.servers.ports import free_port

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 3, 11, tzinfo=UTC)
NEXT = MIDNIGHT + timedelta(days=1)


def use(tenant, window, used, *, counter="tenant|tokens", granted=0):
    with tenant_scope(tenant.pk):
        QuotaUsage.objects.create(
            tenant=tenant, counter=counter, window=window.id, ends_at=window.end,
            used=used, granted=granted, version=1,
        )  # fmt: skip


def reset(tenant, now):
    return resets.reset_quotas(tenant.pk, now=now)


def history(tenant):
    with tenant_scope(tenant.pk):
        return list(QuotaWindow.objects.exclude(closed_at=None).order_by("starts_at"))


def granted(tenant, window):
    with tenant_scope(tenant.pk):
        rows = QuotaUsage.objects.filter(window=window.id)
        return {row.counter: (row.granted, row.version) for row in rows}


@pytest.fixture
def held():
    """Sets what is held of a counter in Redis."""
    keys = []
    with connect(settings.REDIS_LIMITS_URL) as client:

        def hold(tenant, window, amount, *, scope="tenant", unit="tokens"):
            keys.append(scope_key(tenant.pk, scope))
            client.hset(keys[-1], f"h:{unit}:{window.id}", amount)

        yield hold
        if keys:
            client.delete(*keys)


def test_a_window_that_is_over_becomes_history_and_the_next_one_runs(acme, rival):
    own_quota(acme)
    own_quota(rival)
    day = only_quota(acme).pinned
    use(acme, day, 70)
    use(rival, day, 5)

    assert reset(acme, MIDNIGHT + timedelta(seconds=20)) == 1

    (row,) = history(acme)
    assert (row.used, row.limit, row.window) == (70, 1000, day)
    assert row.closed_at == MIDNIGHT + timedelta(seconds=20)
    with tenant_scope(acme.pk):
        assert QuotaWindow.objects.get(closed_at=None).starts_at == MIDNIGHT
    assert history(rival) == []


def test_a_window_that_runs_is_left_alone(acme):
    own_quota(acme)
    load(acme)

    assert resets.tenants_to_reset(now=MIDNIGHT - HOUR) == []
    assert reset(acme, MIDNIGHT - HOUR) == 0
    assert resets.tenants_to_reset(now=MIDNIGHT) == [acme.pk]


def test_a_reset_delivered_twice_happens_once(acme):
    own_quota(acme, roll_over=50)
    use(acme, only_quota(acme).pinned, 900)

    assert [reset(acme, MIDNIGHT), reset(acme, MIDNIGHT)] == [1, 0]

    assert len(history(acme)) == 1
    assert granted(acme, only_quota(acme, now=MIDNIGHT).pinned) == {"tenant|tokens": (100, 1)}
    assert resets.tenants_to_reset(now=MIDNIGHT) == []


def test_a_quotas_history_counts_all_keys_together_but_those_with_their_own(acme):
    key = services.issue_key(tenant=acme, name="Laptop").key
    own_quota(acme, per="key")
    own_quota(acme, per="key", api_key=key)
    window = load(acme).quotas[0].pinned
    for counter, used in (("key:990001|tokens", 1), ("key:990002|tokens", 2),
                          (f"key:{key.pk}|tokens", 4), ("tenant|tokens", 8),
                          ("key:990001|cost", 16), ("key:990001|route=a|tokens", 32)):  # fmt: skip
        use(acme, window, used, counter=counter)

    reset(acme, MIDNIGHT)

    assert {row.slot: row.used for row in history(acme)} == {
        "key|tokens|day": 3,
        f"key:{key.pk}|tokens|day": 4,
    }


def test_celery_dead_for_25_hours_is_caught_up_with_a_row_for_each_hour(acme):
    own_quota(acme, period="hour", roll_over=100, limit=10)
    first = only_quota(acme).pinned
    use(acme, first, 4)

    reset(acme, NOON + 25 * HOUR)

    rows = history(acme)
    assert [row.starts_at for row in rows] == [NOON + n * HOUR for n in range(25)]
    assert [row.used for row in rows] == [4] + [0] * 24
    running = only_quota(acme, now=NOON + 25 * HOUR).pinned
    assert running.start == NOON + 25 * HOUR
    assert granted(acme, running) == {"tenant|tokens": (10, 1)}


def test_gateways_reset_on_the_second_whether_celery_runs_or_not(acme):
    from tenants.windows import window_at

    own_quota(acme, period="hour")
    quota = only_quota(acme)

    for hours in (1, 2, 25):
        moment = NOON + hours * HOUR
        before = window_at(moment - timedelta(microseconds=1), quota.calendar, pinned=quota.pinned)
        after = window_at(moment, quota.calendar, pinned=quota.pinned)
        assert (before.end, after.start) == (moment, moment)
    # And what they counted in is what Celery closes, a day late.
    reset(acme, NOON + 26 * HOUR)
    assert window_at(NOON + 25 * HOUR, quota.calendar, pinned=quota.pinned) in [
        row.window for row in history(acme)
    ]


@pytest.mark.parametrize(
    ("percent", "amounts", "goes_over"),
    [
        (50, (900, 0, 0), 100),
        (50, (0, 0, 0), 500),
        (50, (1000, 0, 0), 0),
        (50, (1200, 0, 0), 0),
        (100, (900, 200, 0), 300),
        (50, (700, 0, 250), 50),
        (50, (700, 0, 400), 0),
        (0, (0, 0, 0), 0),
    ],
)
def test_what_is_left_and_not_held_goes_over(acme, held, percent, amounts, goes_over):
    used, top_up, hold = amounts
    own_quota(acme, roll_over=percent)
    window = only_quota(acme).pinned
    use(acme, window, used, granted=top_up)
    held(acme, window, hold)

    reset(acme, MIDNIGHT)

    expected = {"tenant|tokens": (goes_over, 1)} if goes_over else {}
    assert granted(acme, only_quota(acme, now=MIDNIGHT).pinned) == expected


def test_each_key_keeps_what_it_left_also_one_that_was_never_used(acme, rival):
    one = services.issue_key(tenant=acme, name="one").key
    two = services.issue_key(tenant=acme, name="two").key
    services.issue_key(tenant=rival, name="theirs")
    own_quota(acme, per="key", roll_over=50)
    use(acme, only_quota(acme).pinned, 800, counter=f"key:{one.pk}|tokens")

    reset(acme, MIDNIGHT)

    assert granted(acme, only_quota(acme, now=MIDNIGHT).pinned) == {
        f"key:{one.pk}|tokens": (200, 1),
        f"key:{two.pk}|tokens": (500, 1),
    }


def test_without_redis_the_window_closes_and_the_roll_over_waits(acme, settings):
    own_quota(acme, roll_over=50)
    use(acme, only_quota(acme).pinned, 900)
    there = settings.REDIS_LIMITS_URL
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"

    assert reset(acme, MIDNIGHT) == 1
    running = only_quota(acme, now=MIDNIGHT).pinned
    assert granted(acme, running) == {}
    assert resets.tenants_to_reset(now=MIDNIGHT) == [acme.pk]

    settings.REDIS_LIMITS_URL = there
    assert reset(acme, MIDNIGHT + HOUR) == 0
    assert granted(acme, running) == {"tenant|tokens": (100, 1)}


def test_a_limit_that_is_gone_leaves_history_and_no_next_window(acme):
    rule = own_quota(acme, roll_over=50)
    load(acme)
    limit_services.delete_limit(rule=rule, now=NOON)

    assert [reset(acme, MIDNIGHT), reset(acme, NEXT)] == [1, 0]


def test_a_tenant_that_is_gone_leaves_history(acme):
    own_quota(acme)
    load(acme)
    tenant_id = acme.pk
    acme.delete()

    assert resets.reset_quotas(tenant_id, now=MIDNIGHT) == 1


def test_who_wants_to_know_of_resets_is_told(acme, rival):
    own_quota(acme)
    with every_tenant():
        for tenant, on_reset in ((acme, True), (acme, False), (rival, True)):
            AlertRecipient.objects.create(
                tenant=tenant, address=f"{tenant}-{on_reset}@example.org", on_reset=on_reset
            )
    use(acme, only_quota(acme).pinned, 70)

    reset(acme, MIDNIGHT)

    with every_tenant():
        notice = Notice.objects.get()
    assert notice.recipient.address == "Acme-True@example.org"
    assert (notice.body["type"], notice.body["id"]) == ("quota.reset", notice.event_id)
    assert (notice.body["data"]["used"], notice.body["data"]["limit"]) == (70, 1000)
    assert notice.body["data"]["resets_at"] == NEXT.isoformat()


@pytest.mark.django_db(transaction=True)
def test_many_beats_at_once_close_a_window_once(acme):
    own_quota(acme, roll_over=50)
    use(acme, only_quota(acme).pinned, 900)
    barrier, closed = threading.Barrier(4), []

    def beat():
        barrier.wait()
        closed.append(reset(acme, MIDNIGHT))
        connection.close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(closed) == 1
    assert granted(acme, only_quota(acme, now=MIDNIGHT).pinned) == {"tenant|tokens": (100, 1)}
