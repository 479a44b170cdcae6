"""The choice of an agent for a task, and its explanation."""

import random
from collections import Counter

import pytest

from agents.capabilities.choice import (
    MAX_SCHEMA_CHECKS,
    TASK_STRATEGIES,
    AgentCandidate,
    ChoiceContext,
    choose_agent,
    near_agents,
)
from agents.schema.routing.capabilities import NO_SCHEMAS, CapabilitySchemas

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}


def agent(slug, *words, **facts):
    return AgentCandidate(slug=slug, capabilities=dict.fromkeys(words, NO_SCHEMAS), **facts)


def choose(candidates, *required, value=None, strategy="least_requests", **context):
    return choose_agent(
        candidates,
        required,
        value,
        strategy=strategy,
        context=ChoiceContext(**context),
        rng=random.Random(5),
    )


def codes(choice):
    return {each.agent: each.code for each in choice.candidates}


def test_the_agent_with_all_capabilities_is_chosen_and_the_others_are_explained():
    choice = choose(
        [
            agent("one", "translate"),
            agent("both", "translate", "summarize"),
            agent("off", "translate", "summarize", is_paused=True),
            agent("closed", "translate", "summarize", is_allowed=False),
            agent("lost", "translate", "summarize", node_problem="None of 3 nodes is able."),
        ],
        "translate",
        "summarize",
    )

    assert choice.agent == "both"
    assert choice.reason == "both is the only agent that is able to execute it."
    assert codes(choice) == {
        "one": "lacks_capability",
        "both": "chosen",
        "off": "paused",
        "closed": "not_allowed",
        "lost": "no_node",
    }
    assert choice.candidates[0].reason == "lacks summarize"


def test_an_agent_whose_schema_refuses_the_input_is_left_out():
    strict = AgentCandidate(slug="a", capabilities={"ocr": CapabilitySchemas(input=TEXT)})
    free = agent("b", "ocr", runs=9)

    chosen = choose([strict, free], "ocr", value={"image": "x"})
    alone = choose([strict], "ocr", value={"image": "x"})

    assert (chosen.agent, codes(chosen)["a"]) == ("b", "input_refused")
    assert alone.agent is None
    assert "text" in alone.input_problem
    assert choose([strict], "ocr", value={"text": "x"}).agent == "a"


def test_one_input_is_validated_for_a_limited_number_of_agents():
    picky = [
        AgentCandidate(slug=f"a{n}", capabilities={"ocr": CapabilitySchemas(input=TEXT)})
        for n in range(MAX_SCHEMA_CHECKS + 3)
    ]

    choice = choose(picky, "ocr", value="no object")

    unchecked = [each for each in choice.candidates if "was not applied" in each.reason]
    assert choice.agent is None
    assert len(unchecked) == 3


def test_the_least_loaded_agent_is_chosen_relative_to_its_slots():
    few = agent("few", "ocr", runs=3, slots=4)
    many = agent("many", "ocr", runs=5, slots=100)

    assert choose([few, many], "ocr").agent == "many"


def test_one_key_prefers_one_agent_with_consistent_hash():
    able = [agent(f"a{n}", "ocr") for n in range(5)]

    keys = [b"acme|%d" % n for n in range(200)]
    first = [
        choose(able, "ocr", strategy="consistent_hash", affinity_key=key).agent for key in keys
    ]
    again = [
        choose(able, "ocr", strategy="consistent_hash", affinity_key=key).agent for key in keys
    ]

    assert first == again
    assert len(set(first)) == 5


def test_weighted_strategies_follow_the_weights():
    able = [agent("a", "ocr", weight=1), agent("b", "ocr", weight=3)]

    picks = Counter(
        choose(able, "ocr", strategy="weighted_round_robin", sequence=n).agent for n in range(400)
    )

    assert 280 < picks["b"] < 320


def test_the_own_zone_comes_first_and_spills_over_when_it_is_full():
    near = agent("near", "ocr", zones=frozenset({"eu-1"}), runs=3, slots=4)
    full = agent("near", "ocr", zones=frozenset({"eu-1"}), runs=4, slots=4)
    far = agent("far", "ocr", zones=frozenset({"us-1"}), slots=4)

    assert choose([near, far], "ocr", strategy="zone_first", zone="eu-1").agent == "near"
    assert choose([full, far], "ocr", strategy="zone_first", zone="eu-1").agent == "far"


@pytest.mark.parametrize("strategy", sorted(TASK_STRATEGIES))
def test_every_strategy_chooses_one_of_the_able(strategy):
    able = [agent(f"a{n}", "ocr", runs=n, weight=n + 1) for n in range(4)]

    choice = choose([*able, agent("other", "chat")], "ocr", strategy=strategy, sequence=7)

    assert choice.agent in {each.slug for each in able}
    assert strategy in choice.reason


def test_near_agents_have_some_or_similar_capabilities_and_may_be_used():
    known = [
        agent("german", "translate.de-en", "summarize"),
        agent("other", "ocr"),
        agent("closed", "translate.de-en", is_allowed=False),
    ]

    assert near_agents(known, ["translate.de-fr", "summarize"]) == [
        "german (translate.de-en, summarize)"
    ]
