"""The settings of a pool and of an endpoint: forms, API, and the services behind both."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from inference import services
from inference.api.pools import SETTINGS as TOLD
from inference.endpoints import manual as static_endpoints
from inference.endpoints.breaker_override import force_breaker
from inference.models import ModelEndpoint, ModelPool
from kernel.errors import InvalidParameter
from kernel.models import Publication
from tests.fixtures.console.fleet_forms import POOL
from tests.fixtures.console.limit_forms import sentences

ADD = "admin:inference_modelpool_add"
API = "/api/v1/pools"
NEW = {
    "strategy": "consistent_hash",
    "slow_start_seconds": 60,
    "hedge_after": 2.5,
    "max_in_flight": 64,
    "queue_length": 10,
    "queue_seconds": 5,
    "sends_priority": True,
    "probe_path": "/v1/models",
    "probe_seconds": 3,
    "probe_rise": 1,
    "probe_fall": 4,
    "completion_probe_seconds": 300,
    "eject_after": 7,
    "eject_seconds": 12,
    "max_registered_endpoints": 7,
    "engine_networks": ["10.2.0.0/16"],
}
TYPED = {"sends_priority": "on", "engine_networks": "10.2.0.0/16"}
"""Fields whose form value differs from the stored one."""


def told_of(pool):
    return {name: getattr(pool, name) for name in NEW}


def test_every_setting_of_the_table_is_in_the_form_and_the_api():
    columns = {field.name for field in ModelPool._meta.fields} - {"id", "name", "created_at"}
    assert columns == {"engine", *TOLD}
    assert columns == set(POOL) - {"name"} | {"sends_priority"}


def test_the_form_stores_every_setting(console):
    console.post(reverse(ADD), {**POOL, **NEW, **TYPED})
    assert told_of(ModelPool.objects.get()) == NEW


def test_a_form_without_limits_of_registration_takes_the_usual_ones(console, db):
    console.post(reverse(ADD), {**POOL, "max_registered_endpoints": ""})

    pool = ModelPool.objects.get()
    assert (pool.max_registered_endpoints, pool.engine_networks) == (64, [])


def test_the_form_explains_the_strategies(console, db):
    text = sentences(console.get(reverse(ADD)))
    assert "For conversations whose prefix stays in the cache of an engine" in text


def test_a_setting_is_changed_and_the_gateways_are_told(console, pool):
    Publication.objects.all().delete()
    place = reverse("admin:inference_modelpool_change", args=(pool.pk,))
    inline = {"endpoints-TOTAL_FORMS": 0, "endpoints-INITIAL_FORMS": 0}
    console.post(place, {**POOL, **inline, "strategy": "round_robin"})
    assert ModelPool.objects.get().strategy == "round_robin"
    assert Publication.objects.filter(topic="fleet").exists()


def test_the_api_stores_every_setting(console, db):
    made = console.post(API, {"name": "large", "engine": "vllm", **NEW}, "application/json")
    assert made.status_code == 201
    assert {name: made.json()[name] for name in NEW} == NEW
    changed = console.patch(f"{API}/{made.json()['id']}", {"hedge_after": None}, "application/json")
    assert changed.json()["hedge_after"] is None


@pytest.mark.parametrize(
    ("facts", "param"),
    [
        ({"strategy": "dice"}, "strategy"),
        ({"queue_length": 100_001}, "queue_length"),
        ({"probe_rise": 0}, "probe_rise"),
        ({"eject_after": 0}, "eject_after"),
        ({"probe_path": "http://169.254.169.254/"}, "probe_path"),
        ({"probe_path": "//evil"}, "probe_path"),
        ({"hedge_after": 120}, "hedge_after"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"slow_start_seconds": -1}, "slow_start_seconds"),
    ],
)
def test_a_wrong_setting_is_named(console, pool, facts, param):
    answer = console.patch(f"{API}/{pool.pk}", facts, "application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    with pytest.raises(ValidationError):
        services.create_pool(name="other", engine="vllm", **facts)


def test_the_service_refuses_what_a_form_would(pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    endpoint.weight = 0
    with pytest.raises(ValidationError):
        static_endpoints.save_endpoint(endpoint=endpoint)


def test_the_api_sets_weight_zone_and_capabilities(console, pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    body = {"weight": 5, "zone": "rack 2", "capabilities": ["vision", " Tools ", "tools"]}
    place = f"/api/v1/endpoints/{endpoint.public_id}"
    data = console.patch(place, body, "application/json").json()
    assert (data["weight"], data["zone"]) == (5, "rack 2")
    assert data["capabilities"] == ["tools", "vision"]


def test_the_api_forces_a_breaker_with_a_reason(console, pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    place = f"/api/v1/endpoints/{endpoint.public_id}/breaker"
    lacking = console.post(place, {"breaker": "open"}, "application/json")
    assert lacking.json()["error"]["param"] == "reason"
    data = console.post(place, {"breaker": "open", "reason": "Fan"}, "application/json").json()
    assert data["breaker"] == "open"
    assert console.post(place, {"breaker": ""}, "application/json").json()["breaker"] == ""


def test_a_breaker_is_forced_once(pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    assert force_breaker(endpoint=endpoint, breaker="closed", reason="Trying")
    assert not force_breaker(endpoint=endpoint, breaker="closed", reason="Again")
    with pytest.raises(InvalidParameter):
        force_breaker(endpoint=endpoint, breaker="ajar", reason="Why not")
    assert ModelEndpoint.objects.get().breaker_override == "closed"


def test_a_pool_keeps_its_name_whatever_the_form_says(console, pool):
    place = reverse("admin:inference_modelpool_change", args=(pool.pk,))
    inline = {"endpoints-TOTAL_FORMS": 0, "endpoints-INITIAL_FORMS": 0}
    console.post(place, {**POOL, **inline, "name": "other", "queue_length": "33"})
    pool.refresh_from_db()
    assert (pool.name, pool.queue_length) == ("small", 33)


def test_no_caller_renames_a_pool(pool):
    pool.name = "other"
    with pytest.raises(ValidationError, match="cannot be changed"):
        services.save_pool(pool=pool)
