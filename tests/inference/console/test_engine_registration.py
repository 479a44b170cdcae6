"""Engines register with a join token, send heartbeats, and deregister."""

import pytest
from django.test import Client
from django.utils import timezone

from inference import services as inference
from inference.endpoints import join_tokens
from inference.models import ModelEndpoint
from tenants import services as tenants

ENDPOINTS = "/internal/v1/endpoints"
ENGINE = {
    "address": "http://10.0.0.5:8000/v1/",
    "model": "smollm2",
    "engine": "vllm",
    "engine_version": "0.32.0",
    "max_concurrency": 16,
    "credential": "engine-secret",
}
LOAD = {"running": 3, "waiting": 1}


@pytest.fixture
def token(route):
    return join_tokens.issue_join_token(pool=route.pool, name="rack 1")


@pytest.fixture
def engine(token):
    """An engine's HTTP client. CSRF is checked as in production."""
    return engine_with(token[1])


def engine_with(text):
    return Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer {text}"})


def post(client, address, body):
    return client.post(address, body, content_type="application/json")


def register(client, **changes):
    return post(client, ENDPOINTS, {**ENGINE, **changes})


def test_an_engine_is_told_its_id_and_its_times(engine, settings):
    answer = register(engine)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": ModelEndpoint.objects.get().public_id,
        "heartbeat_seconds": settings.HEARTBEAT_SECONDS,
        "expires_seconds": settings.ENDPOINT_EXPIRY_SECONDS,
        "advice": [],
    }


def test_the_endpoint_joins_the_pool_of_the_token(engine, pool):
    register(engine)
    endpoint = ModelEndpoint.objects.get()
    assert (endpoint.pool, endpoint.address) == (pool, "http://10.0.0.5:8000")
    assert (endpoint.max_concurrency, endpoint.engine_version) == (16, "0.32.0")
    assert endpoint.credential == "engine-secret"


def test_an_engine_that_comes_back_takes_its_place(engine):
    first = register(engine, machine="rack-1").json()["id"]
    assert register(engine, machine="rack-1").json()["id"] == first


def test_a_second_engine_at_the_address_of_a_living_one_is_refused_with_a_sentence(engine):
    register(engine, machine="rack-1")

    answer = register(engine, machine="rack-2")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "address_taken")
    assert "Give this one another address with --address" in answer.json()["error"]["message"]
    assert 0 < int(answer.headers["retry-after"]) <= 13


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 0},
        {"weight": 1001},
        {"weight": "heavy"},
        {"max_concurrency": -1},
        {"max_concurrency": 0},
        {"zone": "z" * 51},
        {"capabilities": ["c" * 51]},
        {"capabilities": [f"c{number}" for number in range(21)]},
        {"machine": "m" * 101},
        {"address": "http://10.0.0.5/" + "a" * 300},
    ],
    ids=str,
)
def test_values_that_cannot_be_meant_are_refused_with_a_sentence(engine, wrong):
    answer = register(engine, **wrong)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")
    assert not ModelEndpoint.objects.exists()


def test_an_engine_says_how_it_is_to_be_used(engine):
    register(engine, weight=3, zone="north", capabilities=["tools", "priority"])

    endpoint = ModelEndpoint.objects.get()
    assert (endpoint.weight, endpoint.zone) == (3, "north")
    assert endpoint.capabilities == ["priority", "tools"]


@pytest.mark.parametrize(
    ("sends", "capabilities", "advice"),
    [
        (False, ["priority"], "sends none: enable 'sends priority'"),
        (True, [], "sends priorities, which this engine may reject"),
    ],
)
def test_who_starts_an_engine_is_told_where_it_does_not_fit_its_pool(
    engine, route, sends, capabilities, advice
):
    route.pool.sends_priority = sends
    inference.save_pool(pool=route.pool)

    (sentence,) = register(engine, capabilities=capabilities).json()["advice"]

    assert advice in sentence


def test_a_heartbeat_may_tell_more(engine):
    public_id = register(engine).json()["id"]
    more = {"kv_cache_used": 0.5, "prompt_tokens": 10, "generation_tokens": 20}

    answer = post(engine, f"{ENDPOINTS}/{public_id}/heartbeat", {**LOAD, **more})

    assert answer.status_code == 200
    assert ModelEndpoint.objects.get().kv_cache_used == 0.5


@pytest.mark.parametrize(
    "wrong", [{"running": -1}, {"kv_cache_used": 1.5}, {"prompt_tokens": -1}], ids=str
)
def test_a_load_that_cannot_be_is_refused(engine, wrong):
    public_id = register(engine).json()["id"]

    answer = post(engine, f"{ENDPOINTS}/{public_id}/heartbeat", {**LOAD, **wrong})

    assert answer.status_code == 400


def test_a_heartbeat_brings_the_load(engine):
    public_id = register(engine).json()["id"]
    answer = post(engine, f"{ENDPOINTS}/{public_id}/heartbeat", LOAD)
    assert (answer.status_code, answer.json()) == (200, {})
    endpoint = ModelEndpoint.objects.get()
    assert (endpoint.running, endpoint.waiting) == (3, 1)


def test_an_unknown_endpoint_must_register_again(engine):
    answer = post(engine, f"{ENDPOINTS}/nobody/heartbeat", LOAD)
    assert answer.status_code == 404
    assert "Register again" in answer.json()["error"]["message"]


def test_an_expired_endpoint_must_register_again(engine):
    public_id = register(engine).json()["id"]
    ModelEndpoint.objects.update(state="expired")
    assert post(engine, f"{ENDPOINTS}/{public_id}/heartbeat", LOAD).status_code == 404


def test_an_engine_leaves(engine):
    public_id = register(engine).json()["id"]
    assert engine.delete(f"{ENDPOINTS}/{public_id}").status_code == 204
    assert not ModelEndpoint.objects.exists()


def test_leaving_twice_is_not_found(engine):
    public_id = register(engine).json()["id"]
    engine.delete(f"{ENDPOINTS}/{public_id}")
    assert engine.delete(f"{ENDPOINTS}/{public_id}").status_code == 404


def test_a_token_opens_one_pool_only(engine):
    public_id = register(engine).json()["id"]
    other = inference.create_pool(name="other", engine="vllm")
    stranger = engine_with(join_tokens.issue_join_token(pool=other, name="rack 2")[1])
    assert post(stranger, f"{ENDPOINTS}/{public_id}/heartbeat", LOAD).status_code == 404
    assert stranger.delete(f"{ENDPOINTS}/{public_id}").status_code == 404


def test_a_blocked_token_opens_nothing(engine, token):
    join_tokens.block_join_token(token=token[0], now=timezone.now())
    answer = register(engine)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_join_token"


@pytest.mark.parametrize("text", ["", "tnj_nonsense", "tnj_\u00e9", "a b c", "tnj_" + "x" * 10_000])
def test_junk_is_no_token(db, text):
    answer = register(engine_with(text.encode("utf-8").decode("latin-1")))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_tenants_key_is_no_join_token(acme):
    key = tenants.issue_key(tenant=acme, name="production")
    assert register(engine_with(key.secret)).status_code == 401


def test_an_operators_session_opens_nothing(console, route):
    assert post(console, ENDPOINTS, ENGINE).status_code == 401


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"address": "http://169.254.169.254/"}, "address_not_allowed"),
        ({"address": "ftp://10.0.0.5"}, "address_not_allowed"),
        ({"model": "another"}, "model_mismatch"),
        ({"max_concurrency": 0}, "invalid_parameter"),
        ({"max_concurrency": 10**12}, "invalid_parameter"),
        ({"engine": "steam"}, "invalid_parameter"),
        ({"address": None}, "invalid_parameter"),
        ({"credential": "x" * 5000}, "invalid_parameter"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_our_words(engine, changes, code):
    answer = register(engine, **changes)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_a_broken_body_is_refused_in_our_words(engine):
    answer = engine.post(ENDPOINTS, "{", content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_a_body_that_is_no_object_is_refused(engine, body):
    assert post(engine, ENDPOINTS, body).status_code == 400


@pytest.mark.parametrize(
    "load", [{}, {"running": -1, "waiting": 0}, {"running": 2**40, "waiting": 0}]
)
def test_an_impossible_load_is_refused(engine, load):
    public_id = register(engine).json()["id"]
    assert post(engine, f"{ENDPOINTS}/{public_id}/heartbeat", load).status_code == 400
