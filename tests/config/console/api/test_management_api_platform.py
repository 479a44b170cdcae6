"""The management API about agents and the fleet, its schema and its docs."""

import pytest
from django.core.management import call_command
from django.test import Client

from agents import services as agents
from inference.endpoints import manual as static_endpoints
from inference.models import ModelEndpoint
from tests.fixtures.console.people import make_person

API = "/api/v1/"


@pytest.fixture
def developer(acme):
    client = Client()
    client.force_login(make_person(acme, "developer"))
    return client


def send(client, method, place, body=None):
    return getattr(client, method)(API + place, body or {}, content_type="application/json")


@pytest.fixture
def agent(developer, route):
    body = {"slug": "helper", "name": "Helper", "route": "smollm2", "instructions": "Be kind.\n"}
    return send(developer, "post", "agents", body).json()


def test_an_agent_is_a_draft_first(agent):
    assert (agent["published_revision"], agent["has_unpublished_changes"]) == (None, True)


def test_instructions_are_kept_to_the_letter(agent):
    assert agent["instructions"] == "Be kind.\n"


def test_publishing_makes_numbered_revisions(developer, agent):
    place = f"agents/{agent['id']}"
    first = send(developer, "post", f"{place}/publish", {"note": "First"}).json()
    send(developer, "patch", place, {"instructions": "Be brief."})
    send(developer, "post", f"{place}/publish")
    assert (first["number"], first["published_by"]) == (1, "developer-of-acme")
    listed = developer.get(f"{API}{place}/revisions").json()["results"]
    assert [revision["number"] for revision in listed] == [2, 1]


def test_an_agent_is_paused_resumed_deployed_and_undeployed(developer, agent):
    place = f"agents/{agent['id']}"

    paused = send(developer, "post", f"{place}/pause").json()
    resumed = send(developer, "post", f"{place}/resume").json()
    deployed = send(developer, "post", f"{place}/deploy", {"placement": {"zone": "eu-1"}}).json()
    removed = send(developer, "post", f"{place}/undeploy").json()

    assert (paused["is_paused"], resumed["is_paused"]) == (True, False)
    assert deployed["placement"] == {"zone": "eu-1"}
    assert removed["placement"] == {"zone": "eu-1", "replicas": 0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capabilities", ["No Word"]),
        ("capability_schemas", {"ocr": {"input": {"type": "object"}}}),
        ("placement", {"zone": "eu 1"}),
    ],
)
def test_capabilities_and_placement_that_are_not_valid_are_named(developer, agent, field, value):
    answer = send(developer, "patch", f"agents/{agent['id']}", {field: value})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameter")
    assert field in str(answer.json())


def test_agents_and_tools_are_offered_over_mcp(developer, agent):
    tool = {
        "name": "clock",
        "kind": "builtin",
        "settings": {"function": "time"},
        "offered_over_mcp": True,
    }

    changed = send(developer, "patch", f"agents/{agent['id']}", {"offered_over_mcp": True})
    created = send(developer, "post", "tools", tool)
    refused = send(developer, "post", "tools", {**tool, "name": "ask", "needs_approval": True})

    assert (agent["offered_over_mcp"], changed.json()["offered_over_mcp"]) == (False, True)
    assert created.json()["offered_over_mcp"] is True
    assert refused.status_code == 400
    assert "approval" in str(refused.json())


def test_publishing_nothing_new_is_a_conflict(developer, agent):
    send(developer, "post", f"agents/{agent['id']}/publish")
    answer = send(developer, "post", f"agents/{agent['id']}/publish")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_publish")


def test_rolling_back_serves_an_earlier_revision(developer, agent):
    place = f"agents/{agent['id']}"
    send(developer, "post", f"{place}/publish")
    send(developer, "patch", place, {"instructions": "Be brief."})
    send(developer, "post", f"{place}/publish")
    answer = send(developer, "post", f"{place}/rollback", {"revision": 1}).json()
    assert (answer["published_revision"], answer["instructions"]) == (1, "Be brief.")


def test_rolling_back_to_no_revision_is_not_found(developer, agent):
    answer = send(developer, "post", f"agents/{agent['id']}/rollback", {"revision": 7})
    assert answer.status_code == 404


def test_two_tenants_agents_do_not_meet(developer, agent, rival, route):
    foreign = agents.create_agent(tenant=rival, slug="helper", name="Helper", route=route)
    assert developer.get(f"{API}agents/{foreign.pk}").status_code == 404
    assert len(developer.get(API + "agents").json()["results"]) == 1


@pytest.mark.parametrize("parameters", [{"temperature": 9}, {"priority": 1}, [], "warm"])
def test_parameters_that_no_request_could_have_are_refused(developer, agent, parameters):
    answer = send(developer, "patch", f"agents/{agent['id']}", {"parameters": parameters})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "parameters")


def test_a_pool_and_a_route_are_made(console):
    pool = send(console, "post", "pools", {"name": "large", "engine": "vllm"})
    assert pool.json()["first_token_timeout"] == 120
    route = send(console, "post", "routes", {"name": "qwen/3", "pool": "large"})
    assert (route.status_code, route.json()["context_length"]) == (201, 8192)


def test_a_taken_name_is_a_conflict(console, route):
    answer = send(console, "post", "routes", {"name": "smollm2", "pool": "small"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "name_taken")


def test_what_is_in_use_cannot_be_deleted(console, route):
    answer = send(console, "delete", f"pools/{route.pool.pk}")
    assert answer.status_code == 409
    assert "smollm2" in answer.json()["error"]["message"]


def test_an_endpoints_credential_goes_in_and_never_out(console, pool):
    body = {"pool": "small", "address": "http://10.0.0.5", "model": "m", "credential": "secret"}
    made = send(console, "post", "endpoints", body)
    assert "credential" not in made.json()
    assert ModelEndpoint.objects.get().credential == "secret"


def test_a_change_keeps_the_credential(console, pool):
    static_endpoints.add_static_endpoint(
        pool=pool, address="http://10.0.0.5", model="m", credential="s"
    )
    place = f"endpoints/{ModelEndpoint.objects.get().public_id}"
    send(console, "patch", place, {"model": "n"})
    assert (ModelEndpoint.objects.get().model, ModelEndpoint.objects.get().credential) == ("n", "s")


def test_an_address_that_is_not_allowed_is_refused(console, pool):
    body = {"pool": "small", "address": "http://169.254.169.254", "model": "m"}
    answer = send(console, "post", "endpoints", body)
    assert answer.json()["error"]["code"] == "address_not_allowed"


def test_an_endpoint_is_drained_and_activated(console, pool):
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    place = f"endpoints/{endpoint.public_id}"
    assert send(console, "post", f"{place}/drain").json()["state"] == "draining"
    assert send(console, "post", f"{place}/activate").json()["state"] == "ready"


def test_a_join_token_is_shown_once(console, pool):
    made = send(console, "post", "join-tokens", {"pool": "small", "name": "rack 1"})
    token = made.json()["token"]
    assert token.startswith(made.json()["prefix"])
    assert made["Cache-Control"] == "no-store"
    assert token not in console.get(API + "join-tokens").content.decode()


def test_the_schema_is_valid_and_has_no_warnings(tmp_path, capsys):
    file = tmp_path / "schema.yml"
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(file))
    assert "/api/v1/api-keys/{id}/rotate" in file.read_text()


def test_the_docs_come_without_the_internet(client, db):
    page = client.get("/api/docs/").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert "cdn." not in page
