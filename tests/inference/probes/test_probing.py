"""Active probes of real servers: targets, changes of state, and recorded results."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from inference import services
from inference.endpoints import manual as static_endpoints
from inference.endpoints import registration
from inference.endpoints import states as endpoint_states
from inference.endpoints.registration import Announcement
from inference.models import ModelEndpoint
from inference.monitoring.load_history import history_key
from inference.probes import service as probes
from inference.probes.result import probe_endpoint
from kernel.publishing.publish import latest_revision
from tenants.counters.client import limits
from tests.fakes.model_server import Behaviour, Fault, ModelServer, in_thread

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=5)


@pytest.fixture
def engine():
    with in_thread(ModelServer(api_key="s3cret")) as server:
        yield server


@pytest.fixture
def pool():
    return services.create_pool(name="small", engine="vllm")


@pytest.fixture
def endpoint(pool, engine):
    return enter(pool, engine)


def enter(pool, engine, *, credential="s3cret", model="tiny"):
    return static_endpoints.add_static_endpoint(
        pool=pool, address=engine.url, model=model, credential=credential
    )


def probe(*, times=1):
    """Probe `times` times, each as if the last one was long ago."""
    for number in range(1, times + 1):
        probes.probe_due(now=timezone.now() + number * LATER)


def complete():
    return probes.probe_completions(now=timezone.now() + LATER)


def row(endpoint):
    return ModelEndpoint.objects.get(pk=endpoint.pk)


def test_a_living_endpoint_stays_and_nobody_is_told(endpoint):
    before = latest_revision()

    probe(times=4)

    found = row(endpoint)
    assert (found.state, found.probe_streak) == ("ready", 4)
    assert found.probe_note.startswith("/health: status 200 after ")
    assert latest_revision() == before


def test_it_falls_after_as_many_bad_probes_as_the_pool_says_and_rises_again(endpoint, engine):
    engine.is_healthy = False
    states = []
    for _ in range(3):
        probe()
        states.append(row(endpoint).state)
    engine.is_healthy = True
    for _ in range(2):
        probe()
        states.append(row(endpoint).state)

    assert states == ["ready", "ready", "unhealthy", "unhealthy", "ready"]
    assert row(endpoint).ready_since > endpoint.ready_since


def test_gateways_are_told_once_of_each_change(endpoint, engine):
    before = latest_revision()
    engine.is_healthy = False

    probe(times=6)

    assert latest_revision() == before + 1


def test_a_dead_endpoint_falls_and_its_note_holds_no_address(pool):
    gone = static_endpoints.add_static_endpoint(pool=pool, address="http://127.0.0.1:9", model="m")

    probe(times=3)

    found = row(gone)
    assert found.state == "unhealthy"
    assert found.probe_note.startswith("/health: cannot be reached after ")
    assert "127.0.0.1" not in found.probe_note


def test_a_server_that_does_not_know_the_path_lives(pool, endpoint):
    pool.probe_path = "/ping"
    services.save_pool(pool=pool)

    probe(times=3)

    found = row(endpoint)
    assert (found.state, found.probe_note[:17]) == ("ready", "/ping: status 404")


def test_only_allowed_paths_can_be_asked_for(pool):
    pool.probe_path = "/v1/load_lora_adapter"

    with pytest.raises(Exception, match="not a valid choice"):
        services.save_pool(pool=pool)


def test_a_fallen_endpoint_is_asked_sooner_once_it_answers(endpoint, engine):
    engine.is_healthy = False
    probe(times=3)
    pause = row(endpoint).next_probe_at - row(endpoint).probed_at
    engine.is_healthy = True
    probe()

    assert pause.total_seconds() == pytest.approx(2)
    assert (row(endpoint).next_probe_at - row(endpoint).probed_at).total_seconds() == 2


def test_nobody_is_asked_before_it_is_time(endpoint):
    now = timezone.now()

    assert probes.probe_due(now=now) == 1
    assert probes.probe_due(now=now + timedelta(seconds=9)) == 0
    assert probes.probe_due(now=now + timedelta(seconds=11)) == 1


def test_an_expired_endpoint_is_not_asked(pool, engine):
    now = timezone.now()
    announced = Announcement(address=engine.url, model="tiny")
    registration.register_endpoint(pool=pool, announcement=announced, now=now)
    registration.expire_silent_endpoints(
        now=now + timedelta(minutes=1), after=timedelta(seconds=30)
    )

    assert probes.probe_due(now=now + LATER) == 0


def test_a_drained_endpoint_stays_drained_whatever_its_probes_say(endpoint, engine):
    endpoint_states.drain_endpoint(endpoint=endpoint)
    engine.is_healthy = False

    probe(times=4)

    assert row(endpoint).state == "draining"


def test_an_unhealthy_endpoint_can_be_drained(endpoint, engine):
    engine.is_healthy = False
    probe(times=3)

    assert endpoint_states.drain_endpoint(endpoint=endpoint)
    assert row(endpoint).state == "draining"


def test_an_unhealthy_engine_that_registers_again_is_ready(pool, engine):
    now = timezone.now()
    announced = Announcement(address=engine.url, model="tiny", machine="rack-1")
    endpoint = registration.register_endpoint(pool=pool, announcement=announced, now=now)
    engine.is_healthy = False
    probe(times=3)
    assert row(endpoint).state == "unhealthy"

    registration.register_endpoint(pool=pool, announcement=announced, now=now)

    assert (row(endpoint).state, row(endpoint).probe_streak) == ("ready", 0)


def test_a_credential_that_cannot_be_read_keeps_nobody_else_from_being_probed(
    pool, endpoint, engine
):
    other = static_endpoints.add_static_endpoint(pool=pool, address="http://127.0.0.1:9", model="m")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE inference_modelendpoint SET credential = 'junk' WHERE id = %s", [other.pk]
        )

    probe()

    assert row(endpoint).probe_streak == 1
    assert ModelEndpoint.objects.defer("credential").get(pk=other.pk).probed_at is None


def test_a_static_engines_load_is_read_and_kept(endpoint, engine):
    probe(times=2)

    entries = limits().xrange(history_key(endpoint.public_id))
    assert len(entries) == 2
    names = {name.decode() for name in entries[1][1]}
    assert {"at", "running", "waiting", "kv", "generation_tokens_per_second"} <= names
    assert row(endpoint).kv_cache_used is not None


def test_another_kind_of_server_is_asked_for_nothing_that_it_may_not_have(engine):
    pool = services.create_pool(name="foreign", engine="openai")
    endpoint = enter(pool, engine)

    probe()

    assert row(endpoint).probe_streak == 1
    assert not limits().exists(history_key(endpoint.public_id))


def wants_tokens(pool, *, seconds=60):
    pool.completion_probe_seconds = seconds
    services.save_pool(pool=pool)


def test_no_token_is_asked_for_unless_the_pool_wants_it(endpoint, engine):
    assert complete() == 0
    assert len(engine.records) == 0


def test_one_token_is_asked_for_with_the_endpoints_credential(pool, endpoint, engine):
    wants_tokens(pool)

    assert complete() == 1

    record = engine.records.last
    assert record.path == "/v1/chat/completions"
    assert record.body["max_tokens"] == 1
    assert record.headers["authorization"] == "Bearer s3cret"
    assert row(endpoint).probe_streak == 1


def test_a_pool_of_embeddings_is_asked_for_a_vector(pool, endpoint, engine):
    services.create_route(name="vectors", pool=pool, purpose="embeddings")
    wants_tokens(pool)

    complete()

    assert engine.records.last.path == "/v1/embeddings"
    assert row(endpoint).probe_streak == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(fault=Fault.REFUSES, status=500),
        Behaviour(fault=Fault.REFUSES, status=401),
        Behaviour(fault=Fault.GARBAGE),
        Behaviour(fault=Fault.TRUNCATED_JSON),
        Behaviour(fault=Fault.CLOSES),
        Behaviour(fault=Fault.ENDLESS_LINE),
    ],
    ids=lambda behaviour: f"{behaviour.fault}-{behaviour.status}",
)
def test_an_endpoint_that_lives_but_answers_no_request_is_found_out(
    pool, endpoint, engine, behaviour
):
    wants_tokens(pool)
    engine.behave(behaviour)

    complete()

    assert row(endpoint).probe_streak == -1


def test_an_endpoint_that_is_only_busy_is_left_in_peace(pool, endpoint, engine):
    wants_tokens(pool)
    engine.behave(Behaviour(fault=Fault.REFUSES, status=429))

    complete()

    assert row(endpoint).probe_streak == 0


def test_where_requests_wait_nobody_asks_for_more(pool, endpoint):
    wants_tokens(pool)
    ModelEndpoint.objects.update(waiting=3)

    assert complete() == 0


def test_an_endpoint_that_stalls_costs_no_more_than_its_patience(pool, endpoint, engine):
    pool.first_token_timeout = 0.3
    wants_tokens(pool)
    engine.behave(replace(Behaviour(), fault=Fault.STALLS))

    complete()

    assert row(endpoint).probe_note.startswith("/v1/chat/completions: no response in time")


def test_probe_now_asks_at_once_and_does_not_count(pool, endpoint, engine):
    wants_tokens(pool)

    found = probes.probe_now(endpoint=endpoint)

    assert found.good
    assert found.note.startswith("/v1/chat/completions: status 200")
    assert (row(endpoint).probe_streak, row(endpoint).probed_at) == (0, None)


def test_a_console_that_cannot_connect_ejects_no_healthy_endpoint(pool, endpoint, engine):
    probe()
    engine.is_healthy = False

    answers = [probe_endpoint(row(endpoint)) for _ in range(pool.probe_fall + 1)]

    assert {answer.healthy for answer in answers} == {False}
    assert (row(endpoint).state, row(endpoint).probe_streak) == ("ready", 1)
    assert "status 503" in answers[0].detail
    assert "The worker's last probe: /health: status 200" in answers[0].detail
    assert "network policy" in answers[0].detail


def test_probe_now_stops_at_what_is_wrong(pool, endpoint, engine):
    wants_tokens(pool)
    engine.is_healthy = False

    found = probes.probe_now(endpoint=endpoint)

    assert (found.good, found.note[:19]) == (False, "/health: status 503")
    assert len(engine.records) == 0


@pytest.mark.django_db(transaction=True)
def test_workers_that_probe_at_the_same_time_share_the_work(pool, engine):
    for number in range(12):
        static_endpoints.add_static_endpoint(
            pool=pool, address=f"{engine.url}/{number}", model="tiny"
        )
    now, taken = timezone.now(), []

    def work():
        try:
            taken.extend(target.id for target in probes.claim_due(now=now))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    # A row that one run had locked while the other claimed is due in the next run.
    taken.extend(target.id for target in probes.claim_due(now=now))
    assert len(taken) == len(set(taken)) == 12
