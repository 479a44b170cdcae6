"""What Redis counts, on the page of a tenant's limits; and what the page says without Redis."""

import pytest
from django.urls import reverse
from django.utils import timezone

from tenants import services
from tenants.admission.redis_counters.keys import scope_key, tenant_key
from tenants.counters import client as counter_client
from tenants.counters.view import read_live_view, recent_refusals
from tenants.limits.status import left_at_once
from tenants.models import QuotaUsage
from tenants.windows import Calendar, window_at
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.limits.limits import own_quota, own_rate
from tests.fixtures.servers.ports import free_port


@pytest.fixture
def redis(db):
    client = counter_client.limits()
    yield client
    for key in client.scan_iter("tenantry:{*"):
        client.delete(key)


@pytest.fixture
def window():
    return window_at(timezone.now(), Calendar(period="month"))


@pytest.fixture
def count(redis, window):
    """Write a scope as the gateways' scripts do."""

    def write(tenant, *, scope="tenant", running=0, used=0, held=0, version=1):
        at = f"tokens:{window.id}"
        numbers = {"c": running, f"u:{at}": used, f"h:{at}": held, f"v:{at}": version}
        redis.hset(scope_key(tenant.pk, scope), mapping=numbers)
        redis.sadd(tenant_key(tenant.pk, "scopes"), scope)

    return write


def shown(console, tenant):
    return sentences(console.get(reverse("admin:tenants_tenant_limits", args=(tenant.pk,))))


@pytest.fixture
def quota(acme):
    return own_quota(acme, limit=10_000, period="month", now=timezone.now())


def test_used_held_and_left_are_those_of_redis(console, acme, quota, count):
    count(acme, used=2000, held=500)
    assert "2,000 used · 500 held · 7,500 left" in shown(console, acme)


def test_another_tenants_numbers_stay_there(console, acme, rival, quota, count):
    count(rival, used=2000, held=500)
    assert "0 used · 0 held · 10,000 left" in shown(console, acme)


def test_a_newer_total_of_the_database_wins(console, acme, quota, count, window):
    count(acme, used=2000, held=500, version=3)
    QuotaUsage._base_manager.create(
        tenant=acme,
        counter="tenant|tokens",
        window=window.id,
        ends_at=window.end,
        used=2100,
        version=4,
    )
    assert "2,100 used · 500 held" in shown(console, acme)


def test_running_requests_are_counted(console, acme, count):
    own_rate(acme, requests_per_minute=60, concurrency=20)
    count(acme, running=7)
    assert "7 running of 20 · 60 requests possible at once" in shown(console, acme)


def test_a_key_that_only_redis_knows_is_listed(console, acme, count):
    key = services.issue_key(tenant=acme, name="Laptop").key
    own_quota(acme, per="key", limit=100, period="month", now=timezone.now())
    count(acme, scope=f"key:{key.pk}", used=0, held=60)
    text = shown(console, acme)
    assert "Laptop" in text
    assert "60 held · 40 left" in text


def test_the_last_refusals_are_summed_up_by_key(console, redis, acme, rival):
    key = services.issue_key(tenant=acme, name="Laptop").key
    told = {"reason": "quota_exhausted", "scope": "tenant", "key_id": key.pk, "shadow": 0}
    for count in (2, 3):
        redis.xadd(tenant_key(acme.pk, "refusals"), {**told, "count": count})
    (refusal,) = recent_refusals(acme.pk)
    assert refusal.count == 5
    assert "quota_exhausted" in shown(console, acme)
    assert not recent_refusals(rival.pk)


def test_without_redis_the_totals_of_the_database_are_shown(console, acme, quota, settings, window):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    QuotaUsage._base_manager.create(
        tenant=acme,
        counter="tenant|tokens",
        window=window.id,
        ends_at=window.end,
        used=2100,
        version=1,
    )
    text = shown(console, acme)
    assert "Redis is unavailable" in text
    assert "2,100 used · 7,900 left" in text
    assert read_live_view(acme.pk) is None


@pytest.mark.parametrize(
    ("tat_us", "left"), [(None, 60), (0, 60), (1_000_000, 59), (1_000_001, 58), (99_000_000, 0)]
)
def test_what_may_come_at_once_follows_the_arrival_time(tat_us, left):
    assert left_at_once(60, None, tat_us, 0) == left


def denied(redis, tenant):
    return redis.hgetall(tenant_key(tenant.pk, "denied"))


def test_a_blocked_key_is_denied_once_it_is_committed(
    redis, acme, rival, django_capture_on_commit_callbacks
):
    key = services.issue_key(tenant=acme, name="k").key
    with django_capture_on_commit_callbacks(execute=True):
        services.block_key(key=key, now=timezone.now())
        assert not denied(redis, acme)
    assert denied(redis, acme) == {f"key:{key.pk}".encode(): b"revoked_api_key"}
    assert not denied(redis, rival)


def test_an_unblocked_key_is_denied_no_longer(redis, acme, django_capture_on_commit_callbacks):
    key = services.issue_key(tenant=acme, name="k").key
    with django_capture_on_commit_callbacks(execute=True):
        services.block_key(key=key, now=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        services.unblock_key(key=key)
    assert not denied(redis, acme)


def test_a_suspended_tenant_is_denied_until_it_is_resumed(
    redis, acme, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        services.suspend_tenant(tenant_id=acme.pk)
    assert denied(redis, acme) == {b"tenant": b"tenant_suspended"}
    with django_capture_on_commit_callbacks(execute=True):
        services.resume_tenant(tenant_id=acme.pk)
    assert not denied(redis, acme)


def test_without_redis_a_key_is_blocked_all_the_same(
    acme, settings, caplog, django_capture_on_commit_callbacks
):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    key = services.issue_key(tenant=acme, name="k").key
    with django_capture_on_commit_callbacks(execute=True):
        assert services.block_key(key=key, now=timezone.now())
    assert "denial not written" in caplog.text
