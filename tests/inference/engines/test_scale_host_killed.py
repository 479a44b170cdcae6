"""After a scale host is killed no engine remains, and its successor starts the same number."""

import pytest
from django.utils import timezone

from inference import services
from inference.fleet.redis_keys import SCALE_ORDER
from inference.models import ModelEndpoint, ScalingState
from inference.scaling.evaluation import evaluate_pools
from tenants.counters import client as counter_client
from tests.embedded.watching import wait_until
from tests.fixtures.fleet.fleet_state import redis
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.scale_host import scale_host
from tests.fixtures.servers.serving import runs

__all__ = ["redis"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("stack"),
]


@pytest.fixture
def pool(transactional_db, redis):
    pool = services.create_pool(name="paced", engine="vllm")
    services.create_route(name="paced", pool=pool)
    make_policy(pool, mode="apply", actuator="process")
    redis.set(f"{SCALE_ORDER}{pool.pk}", 2)
    yield pool
    redis.delete(f"{SCALE_ORDER}{pool.pk}")


def ready():
    return set(ModelEndpoint.objects.filter(state="ready").values_list("public_id", flat=True))


def test_its_engines_end_and_its_successor_has_as_many(pool, live_server, tmp_path):
    place = {"console": live_server.url, "route": "paced", "port": free_port(slots=3)}
    with scale_host(pool, tmp_path, **place) as first:
        wait_until(lambda: len(ready()) == 2, seconds=60)
        before, family = ready(), first.family()
        first.process.kill()
        first.process.wait()
        with scale_host(pool, tmp_path, **place) as second:
            wait_until(lambda: not any(runs(each) for each in family), seconds=40)
            wait_until(lambda: len(ready() - before) == 2, seconds=60)
            evaluate_pools(now=timezone.now())
            assert ScalingState.objects.get(pool=pool).status["replicas"] == 2
            assert "ended with code" not in second.said
    assert counter_client.limits().get(f"{SCALE_ORDER}{pool.pk}") == b"2"
