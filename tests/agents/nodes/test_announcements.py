"""What a node may announce, and what state follows from its load."""

import pytest

from agents.errors import InvalidNode
from agents.nodes.announcement import ensure_valid
from agents.nodes.health import NodeLoad, state_of
from tests.fixtures.nodes import HEALTHY, announce


@pytest.mark.parametrize(
    "facts",
    [
        {"labels": {"gpu": "a100", "example.org/net": "", "Tier_1": "A.b-c_d"}},
        {"labels": {"a" * 63: "b" * 63, f"{'a' * 63}.example/x": "1"}},
        {"zone": "eu-west-1a"},
        {"capabilities": ("translate.de-en", "ocr", "model:gpt_4")},
        {"weight": 1000, "slots": 1},
        {"name": "ip-10-0-0-1.eu.internal"},
    ],
)
def test_what_kubernetes_accepts_is_accepted(facts):
    ensure_valid(announce(**facts))


@pytest.mark.parametrize(
    ("facts", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "Rack 1"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "a\n"}, "name"),
        ({"zone": "eu west"}, "zone"),
        ({"zone": "a" * 64}, "zone"),
        ({"zone": "b/c"}, "zone"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"/gpu": "x"}}, "labels"),
        ({"labels": {"a b": "x"}}, "labels"),
        ({"labels": {"-gpu": "x"}}, "labels"),
        ({"labels": {"UPPER.org/gpu": "x"}}, "labels"),
        ({"labels": {"a/b/c": "x"}}, "labels"),
        ({"labels": {f"{'a' * 254}/gpu": "x"}}, "labels"),
        ({"labels": {"gpu": "a b"}}, "labels"),
        ({"labels": {"gpu": "<script>"}}, "labels"),
        ({"labels": {"gpu": "a" * 64}}, "labels"),
        ({"labels": {"gpu": "a\n"}}, "labels"),
        ({"labels": {"gpu": 7}}, "labels"),
        ({"labels": {str(number): "" for number in range(65)}}, "labels"),
        ({"capabilities": ("OCR",)}, "capabilities"),
        ({"capabilities": ("",)}, "capabilities"),
        ({"capabilities": ("a" * 64,)}, "capabilities"),
        ({"capabilities": ("a",) * 51}, "capabilities"),
        ({"weight": 0}, "weight"),
        ({"weight": 1001}, "weight"),
        ({"slots": 0}, "slots"),
        ({"slots": 10**9}, "slots"),
    ],
)
def test_garbage_is_refused_with_the_field_and_advice(facts, param):
    with pytest.raises(InvalidNode) as refused:
        ensure_valid(announce(**facts))
    assert refused.value.param == param
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (HEALTHY, ("up", "")),
        (NodeLoad(), ("degraded", "no engine")),
        (NodeLoad(engines=3), ("degraded", "none of 3 engines is ready")),
        (
            NodeLoad(engines=1, engines_ready=1, is_redis_reachable=False),
            ("degraded", "Redis is unavailable"),
        ),
        (
            NodeLoad(engines=1, engines_ready=1, loop_lag_seconds=1.2),
            ("degraded", "event loop delayed by 1.2 s"),
        ),
        (
            NodeLoad(engines=1, engines_ready=1, database_failed_seconds=4),
            ("degraded", "PostgreSQL was unavailable 4 s ago"),
        ),
        (NodeLoad(engines=1, engines_ready=1, database_failed_seconds=15), ("up", "")),
        (NodeLoad(is_draining=True), ("draining", "shutting down")),
    ],
)
def test_the_state_follows_from_the_load(load, expected):
    assert state_of(load) == expected


def test_all_problems_of_a_node_are_named():
    _, note = state_of(NodeLoad(is_redis_reachable=False, loop_lag_seconds=2))
    assert note == "Redis is unavailable; event loop delayed by 2.0 s; no engine"
