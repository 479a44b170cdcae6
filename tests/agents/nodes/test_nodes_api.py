"""`/api/v1/nodes` and `/api/v1/node-tokens`."""

import json

import pytest
from django.test import Client

from agents.models import Run
from agents.nodes import registration
from tenants.scoping import every_tenant
from tests.fixtures.console.people import acme, pool, route
from tests.fixtures.nodes import beat, register, register_gateway
from tests.fixtures.runs.conversations import make_approval

__all__ = ["acme", "pool", "route"]

pytestmark = pytest.mark.django_db
API = "/api/v1/"


def send(console, method, path, body=None):
    return getattr(console, method)(API + path, json.dumps(body or {}), "application/json")


def listed(console, **query):
    return [each["name"] for each in console.get(API + "nodes", query).json()["results"]]


def test_nodes_are_listed_and_filtered(console):
    beat(register("agent-1", zone="eu-1", labels={"gpu": "a100"}, capabilities=("ocr",)))
    register_gateway("gateway-1")
    assert set(listed(console)) == {"agent-1", "gateway-1"}
    assert listed(console, kind="agent", state="up", zone="eu-1", name="AGENT") == ["agent-1"]
    assert listed(console, state="down") == []
    assert console.get(API + "nodes", {"state": "asleep"}).status_code == 400

    node = console.get(API + "nodes/agent-1").json()
    assert (node["labels"], node["capabilities"], node["slots"]) == ({"gpu": "a100"}, ["ocr"], 4)
    assert "token" not in node


def test_a_node_is_drained_and_activated(console):
    register("agent-1.rack")
    assert send(console, "post", "nodes/agent-1.rack/drain").json()["drain_requested_at"]
    assert send(console, "post", "nodes/agent-1.rack/activate").json()["drain_requested_at"] is None
    assert send(console, "post", "nodes/unknown/drain").status_code == 404


def test_a_gateway_is_not_drained(console):
    register_gateway("gateway-1")
    answer = send(console, "post", "nodes/gateway-1/drain")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "gateway_not_drainable")


def test_only_a_node_that_is_down_is_deleted(console):
    node = register("agent-1")
    assert send(console, "delete", "nodes/agent-1").json()["error"]["code"] == "node_is_alive"
    registration.deregister_node(node.worker)
    assert send(console, "delete", "nodes/agent-1").status_code == 204


def test_a_token_is_returned_once_and_blocked(console):
    answer = send(console, "post", "node-tokens", {"name": "rack", "max_uses": 2})
    made = answer.json()
    assert (made["max_uses"], made["uses"], answer["Cache-Control"]) == (2, 0, "no-store")
    register(token=made["token"])
    assert made["token"] not in console.get(API + "node-tokens").content.decode()
    assert send(console, "post", f"node-tokens/{made['id']}/block").json()["blocked_at"]
    assert send(console, "post", "node-tokens", {"name": "rack", "max_uses": 0}).status_code == 400


def test_nobody_else_sees_nodes(console):
    assert Client().get(API + "nodes").status_code == 401


def test_a_run_names_its_node(console, acme, route):
    run = make_approval(acme).run
    node = register("agent-1")
    with every_tenant():
        Run.objects.filter(pk=run.pk).update(worker=node.worker)
    answer = console.get(f"{API}runs/{run.public_id}", {"tenant": acme.slug}).json()
    assert answer["node"] == "agent-1"
    page = console.get(f"/admin/agents/run/{run.pk}/change/").content.decode()
    assert "node agent-1" in page
