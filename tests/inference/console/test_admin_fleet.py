"""The console's pages about routes, pools, endpoints and join tokens."""

import pytest
from django.urls import reverse

from inference.endpoints import join_tokens
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.models import JoinToken, ModelEndpoint, ModelPool, ModelRoute
from kernel.models import Publication
from tenants.api_keys.keys import parse_key
from tests.fixtures.console.fleet_forms import POOL, route_form


def page(name, *args):
    return reverse(f"admin:inference_{name}", args=args)


@pytest.fixture
def new(pool):
    return {
        "pool": pool.pk,
        "address": "http://10.0.0.5:8000",
        "model": "smollm2",
        "new_credential": "engine-secret",
        "max_concurrency": 8,
        "weight": 3,
        "zone": "rack 1",
        "capabilities": "vision, Tools",
    }


@pytest.fixture
def endpoint(pool):
    return static_endpoints.add_static_endpoint(
        pool=pool, address="http://10.0.0.5:8000", model="smollm2", credential="engine-secret"
    )


def test_a_pool_is_made(console):
    console.post(page("modelpool_add"), POOL)
    assert ModelPool.objects.get().name == "large"


def test_a_pool_that_routes_use_cannot_be_deleted(console, route):
    answer = console.post(page("modelpool_delete", route.pool.pk), {"post": "yes"})
    assert "protected" in answer.content.decode()
    assert ModelPool.objects.exists()


def test_a_pool_goes_with_its_endpoints_and_tokens(console, endpoint, pool):
    join_tokens.issue_join_token(pool=pool, name="rack 1")
    console.post(page("modelpool_delete", pool.pk), {"post": "yes"})
    assert not ModelPool.objects.exists()


def test_a_pools_page_shows_its_endpoints(console, endpoint, pool):
    body = console.get(page("modelpool_change", pool.pk)).content.decode()
    assert endpoint.address in body
    assert "engine-secret" not in body


def test_a_route_is_made_and_the_gateways_are_told(console, pool):
    Publication.objects.all().delete()
    console.post(page("modelroute_add"), route_form(pool))
    assert ModelRoute.objects.get().name == "qwen/3"
    assert Publication.objects.filter(topic="fleet").exists()


def test_a_route_is_deleted(console, route):
    console.post(page("modelroute_delete", route.pk), {"post": "yes"})
    assert not ModelRoute.objects.exists()


def test_an_endpoint_is_entered_by_hand(console, new):
    console.post(page("modelendpoint_add"), new)
    endpoint = ModelEndpoint.objects.get()
    assert (endpoint.credential, endpoint.registered) == ("engine-secret", False)
    assert (endpoint.weight, endpoint.zone) == (3, "rack 1")
    assert endpoint.capabilities == ["tools", "vision"]


def test_what_a_service_refuses_is_an_error_of_the_filled_in_form(console, new):
    answer = console.post(
        page("modelendpoint_add"), {**new, "address": "http://169.254.169.254/latest"}
    )
    body = answer.content.decode()
    assert "Link-local" in body
    assert "169.254.169.254" in body
    assert not ModelEndpoint.objects.exists()


def test_a_changed_address_may_not_be_anothers(console, new, endpoint, pool):
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.6", model="smollm2")
    answer = console.post(
        page("modelendpoint_change", endpoint.pk), {**new, "address": "http://10.0.0.6"}
    )
    assert "already" in answer.content.decode()


def test_a_credential_never_comes_back(console, endpoint):
    body = console.get(page("modelendpoint_change", endpoint.pk)).content.decode()
    assert "engine-secret" not in body


def test_an_empty_credential_keeps_the_stored_one(console, new, endpoint):
    body = {**new, "new_credential": "", "model": "other"}
    console.post(page("modelendpoint_change", endpoint.pk), body)
    after = ModelEndpoint.objects.get()
    assert (after.model, after.credential) == ("other", "engine-secret")


def test_a_new_credential_replaces_the_stored_one(console, new, endpoint):
    body = {**new, "new_credential": "another"}
    console.post(page("modelendpoint_change", endpoint.pk), body)
    assert ModelEndpoint.objects.get().credential == "another"


def test_a_lost_encryption_key_does_not_take_the_list_with_it(console, endpoint, settings):
    settings.ENCRYPTION_KEYS = ["YW5vdGhlci1rZXktYW5vdGhlci1rZXktYW5vdGhlci0="]
    assert console.get(page("modelendpoint_changelist")).status_code == 200


def test_an_endpoint_is_drained_and_activated(console, endpoint):
    console.post(page("modelendpoint_drain", endpoint.pk))
    assert ModelEndpoint.objects.get().state == "draining"
    console.post(page("modelendpoint_activate", endpoint.pk))
    assert ModelEndpoint.objects.get().state == "ready"


def test_a_late_form_does_not_undo_a_drain(endpoint):
    form = ModelEndpoint.objects.get()
    endpoint_states.drain_endpoint(endpoint=endpoint)
    static_endpoints.save_endpoint(endpoint=form)
    assert ModelEndpoint.objects.get().state == "draining"


def test_several_are_drained_at_once(console, endpoint):
    body = {"action": "drain_selected", "_selected_action": [endpoint.pk]}
    console.post(page("modelendpoint_changelist"), body)
    assert ModelEndpoint.objects.get().state == "ready"
    console.post(page("modelendpoint_changelist"), {**body, "_confirmed": "yes"})
    assert ModelEndpoint.objects.get().state == "draining"


def test_an_endpoint_is_taken_out(console, endpoint):
    console.post(page("modelendpoint_delete", endpoint.pk), {"post": "yes"})
    assert not ModelEndpoint.objects.exists()


def test_a_join_token_is_shown_once_with_the_command_to_run(console, route):
    answer = console.post(page("jointoken_add"), {"name": "rack 1", "pool": route.pool.pk})
    token = JoinToken.objects.get()
    shown = answer.context["secret"]
    assert parse_key(shown.secret, kind="tnj").public_id == token.public_id
    assert "manage.py serve_model smollm2 --engine vllm" in shown.command
    assert "no-store" in answer["Cache-Control"]
    later = console.get(page("jointoken_change", token.pk)).content.decode()
    assert shown.secret not in later


def test_a_blocked_join_token_stays_blocked(console, pool):
    token, _ = join_tokens.issue_join_token(pool=pool, name="rack 1")
    console.post(page("jointoken_block", token.pk))
    assert JoinToken.objects.get().blocked_at
