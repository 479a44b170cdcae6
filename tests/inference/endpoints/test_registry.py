"""Registration, heartbeats and expiry of endpoints."""

from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.utils import timezone

from inference import services
from inference.endpoints import join_tokens, registration
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.endpoints.registration import Announcement
from inference.engines.engine import EngineLoad
from inference.errors import (
    AddressNotAllowed,
    AddressTaken,
    InvalidJoinToken,
    ModelMismatch,
    NameTaken,
    PoolFull,
)
from inference.models import JoinToken, ModelEndpoint, ModelPool
from kernel.errors import NotFound
from kernel.publishing.publish import latest_revision

NOW = timezone.now()
pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return services.create_pool(name="small", engine="vllm")


@pytest.fixture
def other_pool():
    return services.create_pool(name="large", engine="vllm")


def register(pool, address="http://10.0.0.5:8000", *, model="tiny", now=NOW, **facts):
    announcement = Announcement(address=address, model=model, **facts)
    return registration.register_endpoint(pool=pool, announcement=announcement, now=now)


def beat(pool, endpoint, *, now=NOW, running=0, waiting=0):
    load = EngineLoad(running=running, waiting=waiting)
    registration.record_heartbeat(pool=pool, public_id=endpoint.public_id, load=load, now=now)


def expire(*, seconds=60):
    moment = NOW + timedelta(seconds=seconds)
    return registration.expire_silent_endpoints(now=moment, after=timedelta(seconds=30))


def state(endpoint):
    return ModelEndpoint.objects.get(pk=endpoint.pk).state


def test_an_engine_registers(pool):
    endpoint = register(pool, "http://10.0.0.5:8000/v1/", engine_version="0.32", credential="s3")

    row = ModelEndpoint.objects.get()
    assert (row.address, row.state, row.registered) == ("http://10.0.0.5:8000", "ready", True)
    assert (row.public_id, row.engine_version) == (endpoint.public_id, "0.32")
    assert row.credential == "s3"


def test_an_engine_that_comes_back_to_its_address_takes_its_place(pool):
    first = register(pool, max_concurrency=5, machine="rack-1")
    second = register(pool, "http://10.0.0.5:8000/", max_concurrency=7, machine="rack-1")

    assert second.public_id == first.public_id
    assert ModelEndpoint.objects.get().max_concurrency == 7


@pytest.mark.parametrize(
    ("machine", "seconds", "is_let_in"),
    [("rack-1", 0, True), ("rack-2", 0, False), ("", 0, False), ("rack-2", 20, True)],
)
def test_an_address_is_held_by_who_is_alive_there(pool, machine, seconds, is_let_in):
    register(pool, machine="rack-1", credential="first")
    with suppress(AddressTaken):
        register(pool, machine=machine, credential="second", now=NOW + timedelta(seconds=seconds))

    kept = ModelEndpoint.objects.get().credential
    assert kept == ("second" if is_let_in else "first")


def test_an_engine_does_not_take_the_place_of_what_an_operator_entered(pool):
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5:8000", model="m")

    with pytest.raises(AddressTaken, match="static endpoint"):
        register(pool)
    assert not ModelEndpoint.objects.get().registered


def test_an_engine_whose_old_credential_cannot_be_read_still_comes_back(pool, settings):
    register(pool, credential="old", machine="rack-1")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    register(pool, credential="new", machine="rack-1")

    assert ModelEndpoint.objects.get().credential == "new"


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 0},
        {"weight": 1001},
        {"max_concurrency": 0},
        {"max_concurrency": -1},
        {"max_concurrency": 100_001},
        {"zone": "z" * 51},
        {"capabilities": ["c" * 51]},
        {"capabilities": [f"c{number}" for number in range(21)]},
        {"model": ""},
        {"model": "m" * 201},
    ],
    ids=str,
)
def test_what_no_form_would_accept_is_refused_of_everybody(pool, wrong):
    facts = {"address": "http://10.0.0.5", "model": "m", **wrong}

    with pytest.raises(ValidationError):
        static_endpoints.add_static_endpoint(pool=pool, **facts)
    with pytest.raises(ValidationError):
        register(pool, **facts)
    assert not ModelEndpoint.objects.exists()


def test_a_saved_endpoint_is_looked_at_too(pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    endpoint.weight = 0

    with pytest.raises(ValidationError):
        static_endpoints.save_endpoint(endpoint=endpoint)
    assert ModelEndpoint.objects.get().weight == 1


def test_it_is_known_since_when_an_endpoint_is_ready(pool):
    def ready_since():
        return ModelEndpoint.objects.get().ready_since

    endpoint = register(pool, machine="rack-1")
    assert ready_since() == NOW
    register(pool, machine="rack-1", now=NOW + timedelta(seconds=9))
    assert ready_since() == NOW + timedelta(seconds=9)

    endpoint_states.drain_endpoint(endpoint=endpoint)
    endpoint_states.activate_endpoint(endpoint=endpoint)
    assert ready_since() != NOW + timedelta(seconds=9)


def test_an_endpoint_that_is_entered_is_ready_from_now_on(pool):
    before = timezone.now()

    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")

    assert before <= endpoint.ready_since <= timezone.now()


def test_the_same_address_in_another_pool_is_another_endpoint(pool, other_pool):
    assert register(pool).public_id != register(other_pool).public_id


def test_an_expired_engine_that_comes_back_is_ready(pool):
    endpoint = register(pool)
    expire()

    register(pool, now=NOW + timedelta(seconds=90))

    assert state(endpoint) == "ready"


def test_an_engine_with_another_model_is_refused(pool):
    services.create_route(name="tiny", pool=pool)

    with pytest.raises(ModelMismatch, match="serves tiny, but this engine serves 'huge'"):
        register(pool, model="huge")


def test_a_pool_without_routes_takes_any_model(pool):
    assert register(pool, model="anything").model == "anything"


@pytest.mark.parametrize("address", ["http://169.254.169.254", "ftp://10.0.0.5", "10.0.0.5"])
def test_an_impossible_address_is_refused(pool, address):
    with pytest.raises(AddressNotAllowed):
        register(pool, address)


def test_in_production_an_engine_is_not_on_loopback(pool, settings):
    settings.LOOPBACK_ENDPOINTS = False

    with pytest.raises(AddressNotAllowed):
        register(pool, "http://127.0.0.1:8000")


def test_an_announcement_does_not_show_its_credential():
    assert "s3" not in repr(Announcement(address="http://x", model="m", credential="s3"))


def test_a_join_token_opens_its_pool(pool, other_pool):
    token, text = join_tokens.issue_join_token(pool=pool, name="rack 1")
    join_tokens.issue_join_token(pool=other_pool, name="rack 2")

    assert join_tokens.pool_of_join_token(text, now=NOW) == pool
    assert JoinToken.objects.get(pk=token.pk).last_used_at == NOW


def test_a_blocked_token_opens_nothing(pool):
    token, text = join_tokens.issue_join_token(pool=pool, name="rack 1")

    assert join_tokens.block_join_token(token=token, now=NOW)
    assert not join_tokens.block_join_token(token=token, now=NOW)
    with pytest.raises(InvalidJoinToken):
        join_tokens.pool_of_join_token(text, now=NOW)


def test_a_token_with_another_secret_opens_nothing(pool):
    _, text = join_tokens.issue_join_token(pool=pool, name="rack 1")
    _, another = join_tokens.issue_join_token(pool=pool, name="rack 2")
    JoinToken.objects.filter(name="rack 1").delete()
    JoinToken.objects.update(public_id=text[4:16])

    for wrong in (text, another, "junk", ""):
        with pytest.raises(InvalidJoinToken):
            join_tokens.pool_of_join_token(wrong, now=NOW)


def test_a_token_whose_pepper_is_gone_opens_nothing(pool, settings):
    _, text = join_tokens.issue_join_token(pool=pool, name="rack 1")
    settings.KEY_PEPPERS = ["another"]

    with pytest.raises(InvalidJoinToken):
        join_tokens.pool_of_join_token(text, now=NOW)


def test_the_text_of_a_token_is_not_stored(pool):
    token, text = join_tokens.issue_join_token(pool=pool, name="rack 1")

    assert text[17:49].encode() not in bytes(JoinToken.objects.get(pk=token.pk).digest)


def test_a_heartbeat_is_noted(pool):
    endpoint = register(pool)

    beat(pool, endpoint, now=NOW + timedelta(seconds=5), running=3, waiting=1)

    row = ModelEndpoint.objects.get()
    assert (row.running, row.waiting) == (3, 1)
    assert row.heartbeat_at == NOW + timedelta(seconds=5)


def test_a_heartbeat_publishes_nothing(pool):
    endpoint = register(pool)
    before = latest_revision()

    beat(pool, endpoint)

    assert latest_revision() == before


def test_the_heartbeat_of_an_expired_engine_is_not_known(pool):
    endpoint = register(pool)
    expire()

    with pytest.raises(NotFound, match="Register again"):
        beat(pool, endpoint)
    assert state(endpoint) == "expired"


def test_an_engine_cannot_beat_for_another_pools_engine(pool, other_pool):
    endpoint = register(pool)

    with pytest.raises(NotFound):
        beat(other_pool, endpoint)


def test_a_static_endpoint_has_no_heartbeat(pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")

    with pytest.raises(NotFound):
        beat(pool, endpoint)


def test_only_silent_engines_expire(pool):
    silent, lively = register(pool), register(pool, "http://10.0.0.6")
    static = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.7", model="m")
    beat(pool, lively, now=NOW + timedelta(seconds=50))

    assert expire(seconds=60) == 1
    assert [state(each) for each in (silent, lively, static)] == ["expired", "ready", "ready"]


@pytest.mark.parametrize(("seconds", "expired"), [(30, 0), (30.001, 1)])
def test_silence_is_allowed_up_to_its_limit(pool, seconds, expired):
    register(pool)

    assert expire(seconds=seconds) == expired


def test_an_engine_expires_once(pool):
    register(pool)

    assert expire() == 1
    before = latest_revision()
    assert expire() == 0
    assert latest_revision() == before


def test_a_draining_engine_expires_too(pool):
    endpoint = register(pool)
    endpoint_states.drain_endpoint(endpoint=endpoint)

    assert expire() == 1


def test_of_many_who_drain_one_did_it(pool):
    endpoint = register(pool)

    assert [endpoint_states.drain_endpoint(endpoint=endpoint) for _ in range(3)] == [
        True,
        False,
        False,
    ]
    assert state(endpoint) == "draining"


def test_of_many_who_activate_one_did_it(pool):
    endpoint = register(pool)
    assert not endpoint_states.activate_endpoint(endpoint=endpoint)
    endpoint_states.drain_endpoint(endpoint=endpoint)

    assert [endpoint_states.activate_endpoint(endpoint=endpoint) for _ in range(2)] == [True, False]
    assert state(endpoint) == "ready"


@pytest.mark.parametrize(
    "move", [endpoint_states.drain_endpoint, endpoint_states.activate_endpoint]
)
def test_an_expired_endpoint_is_not_moved(pool, move):
    endpoint = register(pool)
    expire()

    assert not move(endpoint=endpoint)
    assert state(endpoint) == "expired"


def test_an_engine_that_leaves_is_gone_once(pool):
    endpoint = register(pool)
    registration.deregister_endpoint(pool=pool, public_id=endpoint.public_id)

    with pytest.raises(NotFound):
        registration.deregister_endpoint(pool=pool, public_id=endpoint.public_id)


def test_an_engine_cannot_take_out_what_is_not_its_own(pool, other_pool):
    theirs = register(other_pool)
    static = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.9", model="m")

    for endpoint in (theirs, static):
        with pytest.raises(NotFound):
            registration.deregister_endpoint(pool=pool, public_id=endpoint.public_id)


@pytest.mark.parametrize("address", ["http://10.0.0.5", "http://10.0.0.5/v1", "HTTP://10.0.0.5/"])
def test_an_address_is_entered_once_however_it_is_spelled(pool, address):
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")

    with pytest.raises(NameTaken):
        static_endpoints.add_static_endpoint(pool=pool, address=address, model="m")


def test_an_endpoint_is_not_moved_to_another_ones_address(pool):
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    other = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.6", model="m")
    other.address = "http://10.0.0.5/v1"

    with pytest.raises(NameTaken):
        static_endpoints.save_endpoint(endpoint=other)


def test_every_change_of_an_endpoint_is_published(pool):
    endpoint = register(pool)
    changes = (
        lambda: endpoint_states.drain_endpoint(endpoint=endpoint),
        lambda: endpoint_states.activate_endpoint(endpoint=endpoint),
        lambda: static_endpoints.save_endpoint(endpoint=endpoint),
        lambda: static_endpoints.delete_endpoint(endpoint=endpoint),
        lambda: register(pool),
        expire,
    )

    for change in changes:
        before = latest_revision()
        change()
        assert latest_revision() > before


def test_an_engine_that_comes_back_is_still_drained(pool):
    endpoint = register(pool)
    endpoint_states.drain_endpoint(endpoint=endpoint)

    assert register(pool, now=NOW + timedelta(minutes=1)).state == "draining"


@pytest.mark.parametrize(
    "address", ["http://1.1.1.1", "http://[2606:4700::1]", "http://8.8.8.8:80"]
)
def test_an_engine_does_not_register_at_a_public_address_unless_its_pool_names_it(pool, address):
    with pytest.raises(AddressNotAllowed, match="public"):
        register(pool, address)
    pool.engine_networks = ["1.1.1.0/24", "2606:4700::/32", "8.8.8.8"]
    assert register(pool, address).address


@pytest.mark.parametrize("address", ["http://10.0.1.5", "http://gpu-1.local", "http://10.0.0.5"])
def test_an_engine_registers_only_from_the_networks_that_its_pool_names(pool, address):
    pool.engine_networks = ["192.168.0.0/16", "10.2.0.0/16"]
    with pytest.raises(AddressNotAllowed, match="networks"):
        register(pool, address)
    assert register(pool, "http://10.2.7.7")


def test_a_join_token_registers_a_bounded_number_of_engines(pool):
    ModelPool.objects.filter(pk=pool.pk).update(max_registered_endpoints=2)
    first, _ = (register(pool, f"http://10.0.0.{number}") for number in (1, 2))
    with pytest.raises(PoolFull):
        register(pool, "http://10.0.0.3")

    register(pool, "http://10.0.0.1", now=NOW + timedelta(minutes=5))
    ModelEndpoint.objects.filter(pk=first.pk).update(state="expired")
    register(pool, "http://10.0.0.3")
    with pytest.raises(PoolFull):
        register(pool, "http://10.0.0.1", now=NOW + timedelta(minutes=5))
    assert static_endpoints.add_static_endpoint(pool=pool, address="http://1.1.1.1", model="tiny")
