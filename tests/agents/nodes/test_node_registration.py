"""Registration, heartbeats and expiry of nodes."""

import logging

import pytest
from django.utils import timezone

from agents.errors import (
    GatewayNotDrainable,
    InvalidNodeToken,
    NodeIsAlive,
    NodeNameTaken,
    NodeTokenUsedUp,
    NodeVersionMismatch,
)
from agents.models import AgentNode, NodeToken
from agents.nodes import operations, registration, selectors, tokens
from agents.nodes.health import NodeLoad
from kernel.models import DatabaseVersion
from tests.fixtures.nodes import HEALTHY, beat, node_token, register, register_gateway, silence

pytestmark = pytest.mark.django_db


def state(node):
    row = AgentNode.objects.get(pk=node.pk)
    return row.state, row.note


def test_an_agent_node_registers_with_a_token():
    token, text = node_token()
    node = register(token=text, zone="eu-1", labels={"gpu": "a100"}, capabilities=("ocr",), slots=8)

    assert (node.state, node.zone, node.labels, node.capabilities, node.slots) == (
        *("starting", "eu-1", {"gpu": "a100"}, ["ocr"], 8),
    )
    token.refresh_from_db()
    assert (token.uses, node.token) == (1, token)
    assert token.last_used_at is not None


def test_a_heartbeat_makes_it_up_and_records_the_load():
    node = register()
    assert beat(node, NodeLoad(runs=3, sockets=2, cpu=0.51, engines=1, engines_ready=1)) is False

    node.refresh_from_db()
    assert (node.state, node.note, node.runs, node.sockets) == ("up", "", 3, 2)
    assert node.load["cpu"] == 0.51


def test_a_gateway_registers_without_a_token():
    gateway = register_gateway()
    beat(gateway)
    assert (gateway.kind, gateway.slots, state(gateway)) == ("gateway", None, ("up", ""))


@pytest.mark.parametrize("text", ["", "tnn_garbage", "tnj_" + "a" * 50])
def test_a_text_that_is_no_token_is_refused(text):
    with pytest.raises(InvalidNodeToken):
        register(token=text)
    assert not AgentNode.objects.exists()


def test_a_blocked_token_is_refused_and_its_nodes_are_drained():
    token, text = node_token()
    node, other = register(token=text), register("node-2")
    assert tokens.block_node_token(token=token, now=timezone.now())
    assert not tokens.block_node_token(token=token, now=timezone.now())

    with pytest.raises(InvalidNodeToken):
        register("node-3", token=text)
    assert (beat(node), beat(other)) == (True, False)


def test_a_token_is_used_as_often_as_it_allows():
    token, text = node_token(max_uses=1)
    register(token=text)
    with pytest.raises(NodeTokenUsedUp):
        register("node-2", token=text)
    # The same process again, after its row was deleted or the database was away.
    register(token=text)
    assert NodeToken.objects.get(pk=token.pk).uses == 1


def test_a_refused_registration_does_not_use_the_token():
    token, text = node_token(max_uses=1)
    register("node-1")
    with pytest.raises(NodeNameTaken):
        register("node-1", token=text, worker="another")
    assert NodeToken.objects.get(pk=token.pk).uses == 0


def test_a_name_belongs_to_the_process_that_is_alive():
    first = register(host="rack-1")
    with pytest.raises(NodeNameTaken, match="node-1") as refused:
        register(worker="another")
    assert refused.value.retry_after

    silence(first, seconds=16)
    second = register(worker="another")
    assert (second.pk, second.worker) == (first.pk, "another")
    assert beat(first) is None


def test_a_container_that_restarts_in_its_pod_keeps_its_name_at_once():
    register(pod="agent-node-5d9")
    assert register(pod="agent-node-5d9", worker="after the restart").worker == "after the restart"


def test_a_node_that_ended_in_order_frees_its_name():
    node = register()
    assert registration.deregister_node(node.worker)
    assert state(node) == ("down", "stopped")
    assert register(worker="another").stopped_at is None


@pytest.mark.parametrize("version", ["0.2.0", "1.1.7", "", "garbage"])
def test_a_node_of_another_version_is_refused(version):
    DatabaseVersion.objects.update_or_create(pk=1, defaults={"version": "0.1.4"})
    with pytest.raises(NodeVersionMismatch, match=r"0\.1\.4"):
        register(version=version)
    register(version="0.1.9")
    register_gateway(version=version)


def test_a_silent_node_goes_down_and_comes_back_with_its_next_heartbeat(caplog):
    node, other = register(), register("node-2")
    silence(node, seconds=16)
    with caplog.at_level(logging.WARNING):
        assert registration.expire_silent_nodes() == 1
    assert state(node) == ("down", "no heartbeat for 15 s")
    assert state(other)[0] == "starting"
    assert "names=node-1" in caplog.text

    assert registration.expire_silent_nodes() == 0
    beat(node)
    assert state(node) == ("up", "")


def test_a_node_that_is_down_for_a_day_is_deleted(caplog):
    node, recent = register(), register("node-2")
    for each, seconds in ((node, 86_500), (recent, 80_000)):
        registration.deregister_node(each.worker)
        silence(each, seconds=seconds)
    with caplog.at_level(logging.INFO):
        registration.expire_silent_nodes()
    assert list(AgentNode.objects.values_list("name", flat=True)) == ["node-2"]
    assert "deleted" in caplog.text
    assert beat(node) is None


def test_a_drain_is_requested_followed_and_cancelled():
    node = register()
    assert operations.request_drain(node=node)
    assert not operations.request_drain(node=node)
    assert beat(node) is True
    assert state(node) == ("draining", "an operator drains it")

    assert operations.cancel_drain(node=node)
    assert not operations.cancel_drain(node=node)
    assert beat(node) is False
    assert state(node) == ("up", "")


def test_a_drain_survives_a_restart_of_the_process():
    node = register(pod="pod-1")
    operations.request_drain(node=node)
    assert beat(register(pod="pod-1", worker="another")) is True


def test_a_gateway_is_not_drained_from_here():
    with pytest.raises(GatewayNotDrainable):
        operations.request_drain(node=register_gateway())


def test_only_a_node_that_is_down_is_removed():
    node = register()
    with pytest.raises(NodeIsAlive):
        operations.remove_node(node=node)
    registration.deregister_node(node.worker)
    operations.remove_node(node=node)
    assert not AgentNode.objects.exists()


def test_nodes_are_counted_by_kind_and_state_without_those_that_stopped():
    for name in ("node-1", "node-2", "node-3"):
        beat(register(name), NodeLoad(runs=2, engines=1, engines_ready=1))
    beat(register_gateway(), HEALTHY)
    registration.deregister_node("worker of node-3")

    found = {(each.kind, each.state): each for each in selectors.count_nodes()}
    assert set(found) == {("agent", "up"), ("gateway", "up")}
    assert (found["agent", "up"].nodes, found["agent", "up"].slots) == (2, 8)
    assert found["agent", "up"].runs == 4
