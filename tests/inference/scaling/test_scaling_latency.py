"""With a real Celery beat, worker and gateway: the delay from demand to a decision."""

import threading
import urllib.error
import urllib.request

import pytest
from django.conf import settings
from django.utils import timezone

from inference import services
from inference.endpoints.manual import add_static_endpoint
from inference.models import ScalingDecision, ScalingState
from tenants.counters import client as counter_client
from tests.embedded.watching import wait_until
from tests.fakes.model_server import Behaviour, ModelServer, in_thread
from tests.fixtures.cast import join
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.servers import processes
from tests.fixtures.servers.timed_work import timed_work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("stack"),
]
SOON_SECONDS = 30
"""The target is 20, measured by `make bench`; with all tests running it may take longer."""
SLOW = Behaviour(tokens=600, token_seconds=0.1)


def ask(url, key, model):
    """Return the status of a chat; 0 if the gateway ended before its end."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "hi"}}]}}'
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=body.encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def crowd(url, key, model, *, size):
    """Start `size` concurrent requests without waiting for them."""
    for _ in range(size):
        threading.Thread(target=ask, args=(url, key, model), daemon=True).start()


def make_pool(name, *, engines=(), **policy):
    pool = services.create_pool(name=name, engine="openai", queue_seconds=60)
    for engine in engines:
        add_static_endpoint(pool=pool, address=engine.url, model=name, max_concurrency=1)
    services.create_route(name=name, pool=pool)
    make_policy(pool, **policy)
    return pool


@pytest.fixture
def engine():
    with in_thread(ModelServer(behaviour=SLOW, models=("busy",))) as server:
        yield server


@pytest.fixture
def two_more():
    with (
        in_thread(ModelServer(behaviour=SLOW, models=("busy",))) as second,
        in_thread(ModelServer(behaviour=SLOW, models=("busy",))) as third,
    ):
        yield second, third


@pytest.fixture
def environment():
    """Environment of the processes: database and Redis of the test."""
    return {"DATABASE_URL": processes.test_database_url(), "REDIS_URL": settings.REDIS_LIMITS_URL}


@pytest.fixture
def acme_key(transactional_db):
    return join("acme").key


def slot(pool):
    return ScalingState.objects.filter(pool=pool).values_list("slot", flat=True).first() or 0


def wait_for_a_look(pool, *, seconds=90):
    """Wait until just after an evaluation, when the delay to the next one is longest."""
    before = slot(pool)
    wait_until(lambda: slot(pool) > before, seconds=seconds)


def decided(pool, *, more_than):
    return ScalingDecision.objects.filter(pool=pool, desired__gt=more_than).first()


def test_demand_is_a_decision_soon(engine, environment, acme_key, tmp_path):
    asleep = make_pool("asleep", idle_seconds=600)
    busy = make_pool("busy", engines=[engine])
    gateway = processes.gateway_process(tmp_path / "gateway")
    with gateway as running, timed_work(tmp_path / "celery", environment):
        wait_for_a_look(asleep)
        began = timezone.now()
        assert ask(running.url, acme_key, "asleep") == 503
        crowd(running.url, acme_key, "busy", size=25)
        found = {}
        for pool, at_least in ((asleep, 0), (busy, 1)):
            wait_until(lambda: decided(pool, more_than=at_least), seconds=SOON_SECONDS)  # noqa: B023
            found[pool.name] = decided(pool, more_than=at_least)
    took = {name: (each.at - began).total_seconds() for name, each in found.items()}
    assert max(took.values()) <= SOON_SECONDS, took
    assert found["asleep"].reason.startswith("Requests arrive: it starts")
    assert found["busy"].desired == 3


@pytest.mark.nightly  # every run has the same test with a moved clock; this one takes minutes
@pytest.mark.timeout(400)
def test_a_beat_that_died_and_a_redis_that_was_emptied_let_nothing_shrink(
    engine, two_more, environment, acme_key, tmp_path
):
    pool = make_pool("busy", engines=[engine, *two_more])
    gateway = processes.gateway_process(tmp_path / "gateway")
    with gateway as running:
        with timed_work(tmp_path / "celery", environment) as work:
            crowd(running.url, acme_key, "busy", size=60)
            wait_until(lambda: decided(pool, more_than=3), seconds=90)
            work.kill()
        before = slot(pool)
        running.kill()
        counter_client.limits().flushall()
        with timed_work(tmp_path / "celery", environment):
            wait_until(lambda: slot(pool) > before, seconds=90)
    status = ScalingState.objects.get(pool=pool).status
    assert (status["replicas"], status["desired"]) == (3, 3)
    assert status["notes"]["in_flight"] == "no gateway has reported recently"
    assert "not known" in status["reason"] or "No signal is known" in status["reason"]
    assert not ScalingDecision.objects.filter(pool=pool, desired__lt=3).exists()
