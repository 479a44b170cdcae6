"""Placement: which nodes execute an agent, and why others do not."""

import random

import pytest

from agents.nodes.placement import NodeFacts, place
from agents.schema.routing.placement import ANYWHERE, Placement, placement_json, read_placement
from kernel.errors import InvalidParameter


def node(name, **facts):
    return NodeFacts(name=name, **facts)


NODES = [node(f"node-{number}") for number in range(20)]


def nodes_of(agent, wanted, nodes):
    return place({agent: wanted}, nodes)[agent].nodes


def test_by_default_an_agent_is_on_every_live_node():
    nodes = [node("a"), node("b", state="draining"), node("c", state="down"), node("d")]

    placed = place({"helper": ANYWHERE}, nodes)["helper"]

    assert set(placed.nodes) == {"a", "d"}
    assert placed.left_out == {"b": "is draining", "c": "is down"}


def test_labels_zone_and_capabilities_of_a_node_decide_and_are_explained():
    wanted = Placement(labels={"gpu": "a100"}, zone="eu-1", capabilities=("browser",))
    able = {"zone": "eu-1", "labels": {"gpu": "a100"}, "capabilities": frozenset({"browser"})}
    nodes = [
        node("able", **able),
        node("far", **able | {"zone": "us-1"}),
        node("slow", **able | {"labels": {"gpu": "t4"}}),
        node("plain", **able | {"capabilities": frozenset()}),
    ]

    placed = place({"helper": wanted}, nodes)["helper"]

    assert placed.nodes == ("able",)
    assert placed.left_out == {
        "far": "is in zone us-1, not eu-1",
        "slow": "lacks the label gpu=a100",
        "plain": "lacks the capability browser",
    }
    assert not placed.problem


def test_every_process_places_an_agent_on_the_same_nodes():
    mixed = random.Random(3).sample(NODES, len(NODES))
    wanted = Placement(replicas=3)

    assert nodes_of("helper", wanted, NODES) == nodes_of("helper", wanted, mixed)


def test_a_node_that_leaves_moves_only_the_agents_that_it_had():
    wanted = dict.fromkeys((f"agent-{number}" for number in range(200)), Placement(replicas=2))
    before = place(wanted, NODES)

    after = place(wanted, NODES[1:])

    for agent in wanted:
        kept = [name for name in before[agent].nodes if name != NODES[0].name]
        assert set(kept) <= set(after[agent].nodes)


def test_a_heavier_node_gets_more_agents():
    nodes = [node("light"), node("heavy", weight=3)]
    wanted = dict.fromkeys((f"agent-{number}" for number in range(1000)), Placement(replicas=1))

    placed = place(wanted, nodes)

    share = sum(each.nodes == ("heavy",) for each in placed.values()) / len(placed)
    assert 0.70 < share < 0.80


def test_a_degraded_node_is_the_last_choice():
    nodes = [node("a", state="degraded"), node("b"), node("c", state="degraded")]

    assert nodes_of("helper", Placement(replicas=1), nodes) == ("b",)


@pytest.mark.parametrize(
    ("wanted", "nodes", "problem"),
    [
        (Placement(replicas=0), NODES, "not deployed"),
        (ANYWHERE, [], "no agent nodes"),
        (Placement(zone="mars"), NODES, "None of 20 nodes"),
        (Placement(replicas=30), NODES, "Only 20 of 30"),
    ],
)
def test_an_agent_that_cannot_be_placed_has_a_reason(wanted, nodes, problem):
    assert problem in place({"helper": wanted}, nodes)["helper"].problem


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "eu-1",
        {"zones": "eu-1"},
        {"zone": "eu 1"},
        {"zone": 7},
        {"labels": {"gpu": 1}},
        {"labels": {"-gpu": "a"}},
        {"labels": {"gpu": "a b"}},
        {"labels": {f"l{n}": "x" for n in range(33)}},
        {"replicas": -1},
        {"replicas": 1.5},
        {"weight": 0},
        {"capabilities": ["Browser"]},
        {"capabilities": "browser"},
    ],
)
def test_a_placement_that_is_not_valid_is_refused(value):
    with pytest.raises(InvalidParameter) as refused:
        read_placement(value)

    assert refused.value.param == "placement"


def test_only_what_differs_from_the_default_is_stored():
    stored = {"labels": {"tenantry.io/gpu": "a100"}, "replicas": 0}

    assert placement_json(read_placement({**stored, "zone": "", "weight": 1})) == stored
