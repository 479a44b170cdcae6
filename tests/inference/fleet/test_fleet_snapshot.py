"""Changes of routes and pools by operators, and the fleet that gateways load."""

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from inference import services
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.errors import NameTaken
from inference.models import ModelEndpoint, ModelPool, ModelRoute
from inference.publishing import load_fleet
from kernel.publishing.publish import latest_revision, revisions_after

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return services.create_pool(name="small", engine="vllm", token_timeout=7)


@pytest.fixture
def route(pool):
    return services.create_route(name="tiny", pool=pool, context_length=2048)


def enter(pool, address="http://10.0.0.5", **facts) -> ModelEndpoint:
    return static_endpoints.add_static_endpoint(pool=pool, address=address, model="m", **facts)


def endpoints():
    return load_fleet().routes["tiny"].pool.endpoints


def test_an_empty_installation_is_an_empty_fleet():
    assert load_fleet().routes == {}


def test_a_route_is_seen_with_its_pool(route):
    seen = load_fleet().routes["tiny"]

    assert (seen.name, seen.purpose, seen.context_length) == ("tiny", "chat", 2048)
    assert (seen.pool.name, seen.pool.engine, seen.pool.token_timeout) == ("small", "vllm", 7)
    assert seen.created == int(route.created_at.timestamp())


def test_an_endpoint_is_seen_with_its_credential_in_clear(pool, route):
    entered = enter(pool, credential="s-3", max_concurrency=5)

    (endpoint,) = endpoints()
    assert (endpoint.id, endpoint.address) == (entered.public_id, "http://10.0.0.5")
    assert (endpoint.credential, endpoint.max_concurrency, endpoint.ready) == ("s-3", 5, True)
    assert "s-3" not in repr(endpoint)


def test_a_draining_endpoint_is_seen_but_not_ready(pool, route):
    endpoint_states.drain_endpoint(endpoint=enter(pool))

    assert [each.ready for each in endpoints()] == [False]


def test_an_expired_endpoint_is_not_seen(pool, route):
    enter(pool)
    ModelEndpoint.objects.update(state="expired")

    assert endpoints() == ()


def test_a_disabled_route_is_not_seen(route):
    route.enabled = False
    services.save_route(route=route)

    assert load_fleet().routes == {}


def test_an_endpoint_whose_credential_cannot_be_read_is_left_out_alone(
    pool, route, settings, caplog
):
    unreadable = enter(pool, credential="s3")
    settings.ENCRYPTION_KEYS = ["bm9ib2R5LWhhcy10aGlzLWtleS1ub2JvZHktaGFzLWk="]
    readable = enter(pool, "http://10.0.0.77", credential="s4")

    assert [endpoint.id for endpoint in endpoints()] == [readable.public_id]
    assert unreadable.public_id in caplog.text


def test_the_fleet_is_read_in_four_queries(pool, django_assert_num_queries):
    for number in range(5):
        services.create_route(name=f"route-{number}", pool=pool)
        enter(pool, f"http://10.0.0.{number}")

    with django_assert_num_queries(4):
        load_fleet()


def test_a_pools_name_is_taken_once(pool):
    with pytest.raises(NameTaken, match="'small'"):
        services.create_pool(name="small", engine="vllm")

    assert ModelPool.objects.count() == 1


def test_a_routes_name_is_taken_once(pool, route):
    with pytest.raises(NameTaken, match="'tiny'"):
        services.create_route(name="tiny", pool=pool)

    assert ModelRoute.objects.count() == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "two words"},
        {"name": ""},
        {"engine": "steam"},
        {"connect_timeout": 0},
        {"token_timeout": -1},
        {"first_token_timeout": 3601},
        {"first_token_timeout": "soon"},
    ],
)
def test_an_impossible_pool_is_not_made(facts):
    with pytest.raises(ValidationError):
        services.create_pool(**{"name": "small", "engine": "vllm", **facts})


@pytest.mark.parametrize(
    "facts",
    [{"name": "-x"}, {"name": "a b"}, {"name": "ä"}, {"purpose": "x"}, {"context_length": 0}],
)
def test_an_impossible_route_is_not_made(pool, facts):
    with pytest.raises(ValidationError):
        services.create_route(**{"name": "tiny", "pool": pool, **facts})


@pytest.mark.parametrize("name", ["tiny", "meta-llama/Llama-3.1-8B", "v1:2", "a.b_c"])
def test_models_are_named_as_they_are_elsewhere(pool, name):
    assert services.create_route(name=name, pool=pool).name == name


def test_a_pool_that_is_used_is_not_deleted(pool, route):
    with pytest.raises(ProtectedError):
        services.delete_pool(pool=pool)


def test_a_pool_is_deleted_with_its_endpoints(pool):
    enter(pool)

    services.delete_pool(pool=pool)

    assert not ModelEndpoint.objects.exists()


CHANGES = {
    "make a pool": lambda _: services.create_pool(name="x", engine="vllm"),
    "save a pool": lambda route: services.save_pool(pool=route.pool),
    "make a route": lambda route: services.create_route(name="x", pool=route.pool),
    "save a route": lambda route: services.save_route(route=route),
    "delete a route": lambda route: services.delete_route(route=route),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_published(route, change):
    before = latest_revision()

    CHANGES[change](route)

    assert revisions_after(before) == [(before + 1, "fleet")]


def test_a_refused_change_is_not_published(pool):
    before = latest_revision()

    with pytest.raises(NameTaken):
        services.create_pool(name="small", engine="vllm")

    assert latest_revision() == before
