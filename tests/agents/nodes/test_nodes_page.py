"""The page of nodes: what it shows, filters and changes, and what it costs."""

import re
from html import unescape

import pytest
from auditlog.models import LogEntry
from django.urls import reverse

from agents.models import AgentNode, NodeToken
from agents.nodes import operations, registration
from agents.nodes.health import NodeLoad
from tests.fixtures.nodes import beat, register, register_gateway

pytestmark = pytest.mark.django_db
ADDRESS = reverse("admin:agents_agentnode_changelist")


def shown(console, **filters):
    text = unescape(console.get(ADDRESS, filters).content.decode())
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def names(console, **filters):
    return re.findall(r'data-node="([^"]+)"', console.get(ADDRESS, filters).content.decode())


def action(name, node):
    return reverse(f"admin:agents_agentnode_{name}", args=(node.pk,))


@pytest.fixture
def some():
    """Two agent nodes, a gateway and a node that stopped."""
    beat(register("agent-1", zone="eu-1", labels={"gpu": "a100"}), NodeLoad(runs=3, engines=1))
    beat(register("agent-2", zone="us-1", host="rack-7"))
    beat(register_gateway("gateway-1", zone="eu-1"), NodeLoad(sockets=12, engines_ready=1))
    registration.deregister_node(register("stopped").worker)


def test_without_nodes_it_says_what_to_do_next(console):
    text = shown(console)
    assert "No process is registered" in text
    assert "Create a node token" in text


def test_both_kinds_are_listed_with_their_state(console, some):
    text = shown(console)
    for part in ("agent-1", "degraded none of 1 engines is ready", "gpu=a100", "3 of 4", "rack-7"):
        assert part in text
    assert "Agent nodes up 1 of 2" in text
    assert "Gateway workers up 1 of 1" in text
    assert "Open sockets 12" in text


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["agent-1", "agent-2", "gateway-1"]),
        ({"kind": "gateway"}, ["gateway-1"]),
        ({"state": "degraded"}, ["agent-1"]),
        ({"state": "down"}, ["stopped"]),
        ({"zone": "eu-1"}, ["agent-1", "gateway-1"]),
        ({"q": "ENT-2"}, ["agent-2"]),
        ({"q": "rack"}, ["agent-2"]),
        ({"kind": "garbage", "page": "x"}, ["agent-1", "agent-2", "gateway-1"]),
        ({"q": "no such node"}, []),
    ],
)
def test_filters_and_search(console, some, filters, expected):
    assert names(console, **filters) == expected


def test_filters_that_match_nothing_can_be_left(console, some):
    assert "No node matches" in shown(console, q="no such node")


def test_the_part_that_refreshes_itself_keeps_the_filters(console, some):
    page = console.get(ADDRESS, {"zone": "eu-1"}).content.decode()
    (live,) = re.findall(r'id="nodes-live" data-live hx-get="([^"]+)"', page)
    part = console.get(unescape(live), headers={"HX-Request": "true"}).content.decode()
    assert re.findall(r'data-node="([^"]+)"', part) == ["agent-1", "gateway-1"]
    assert "<html" not in part


def test_a_node_is_drained_taken_up_again_and_removed(console):
    node = register("agent-1")
    assert "Drain this node?" in console.get(action("drain", node)).content.decode()
    console.post(action("drain", node))
    assert beat(node) is True
    console.post(action("cancel_drain", node))
    assert beat(node) is False
    drained = LogEntry.objects.filter(object_repr="agent-1", changes__has_key="drain")
    assert [each.actor for each in drained].count(None) == 0
    assert drained.count() == 2

    console.post(action("remove", node))
    assert AgentNode.objects.exists()
    registration.deregister_node(node.worker)
    console.post(action("remove", node))
    assert not AgentNode.objects.exists()


def test_a_gateway_has_no_button_to_drain(console):
    gateway = register_gateway()
    assert action("drain", gateway) not in console.get(ADDRESS).content.decode()
    console.post(action("drain", gateway))
    assert beat(gateway) is False


def test_a_thousand_nodes_cost_as_many_queries_as_one(console, django_assert_max_num_queries):
    register("agent-0")
    first = AgentNode.objects.get()
    rows = [
        AgentNode(
            name=f"agent-{number}", worker=f"w{number}", kind="agent", slots=8, state="up",
            started_at=first.started_at, heartbeat_at=first.heartbeat_at,
            zone=f"zone-{number % 5}", labels={"gpu": "a100"},
        )
        for number in range(1, 1000)
    ]  # fmt: skip
    AgentNode.objects.bulk_create(rows)
    with django_assert_max_num_queries(8):
        page = console.get(ADDRESS)
    assert page.content.decode().count("data-node=") == 50
    assert "Page 1 of 20" in shown(console)
    assert len(names(console, page=20)) == 50
    assert names(console, page=99) == names(console, page=20)


def test_a_token_is_created_displayed_once_and_blocked(console):
    add = reverse("admin:agents_nodetoken_add")
    page = console.post(add, {"name": "rack", "max_uses": "1"})
    (text,) = set(re.findall(r"tnn_\w{12}_\w{38}", page.content.decode()))
    assert "no-store" in page["Cache-Control"]
    token = NodeToken.objects.get()
    assert text not in console.get(reverse("admin:agents_nodetoken_changelist")).content.decode()

    node = register(token=text)
    console.post(reverse("admin:agents_nodetoken_block", args=(token.pk,)))
    assert beat(node) is True


@pytest.mark.parametrize("uses", ["0", "-1", "many"])
def test_a_token_with_a_garbled_limit_is_refused(console, uses):
    console.post(reverse("admin:agents_nodetoken_add"), {"name": "rack", "max_uses": uses})
    assert not NodeToken.objects.exists()


def test_markup_in_a_name_is_text(console):
    node = register()
    AgentNode.objects.filter(pk=node.pk).update(host="<script>alert(1)</script>", note="<b>x</b>")
    page = console.get(ADDRESS).content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>x</b>" not in page


def test_a_node_that_another_operator_removed_is_gone(console):
    node = register()
    registration.deregister_node(node.worker)
    operations.remove_node(node=node)
    assert console.post(action("remove", node)).status_code in {302, 404}
