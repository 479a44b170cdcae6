"""Tokens of an answer that is not told yet: by the time it takes, and the pace of earlier ones."""

import pytest

from tenants.admission.generation_rates import DEFAULT_SECONDS_PER_TOKEN, GenerationRates
from tenants.admission.limits.demand import Demand
from tenants.admission.usage.records import Usage

DEMAND = Demand(prompt_bytes=10, context_length=1000)


def estimate(rates, seconds=1.0, route="tiny", demand=DEMAND):
    return rates.estimate(route=route, seconds=seconds, demand=demand)


def learn(rates, seconds, tokens, route="tiny", **fields):
    usage = Usage(prompt_tokens=1, completion_tokens=tokens, **fields)
    rates.learn(route=route, seconds=seconds, usage=usage)


def test_an_unknown_route_has_a_usual_pace():
    assert estimate(GenerationRates(), seconds=10 * DEFAULT_SECONDS_PER_TOKEN) == 10


def test_the_pace_of_earlier_answers_counts():
    rates = GenerationRates()
    for _ in range(3):
        learn(rates, seconds=2, tokens=20)

    assert estimate(rates, seconds=1.5) == 15
    assert estimate(rates, seconds=1.5, route="other") != 15


def test_the_newest_answers_count_most():
    rates = GenerationRates()
    learn(rates, seconds=1, tokens=1)
    for _ in range(40):
        learn(rates, seconds=1, tokens=100)

    assert estimate(rates) == pytest.approx(100, abs=2)


@pytest.mark.parametrize(("tokens", "fields"), [(0, {}), (5, {"estimated": True})])
def test_what_nobody_counted_teaches_nothing(tokens, fields):
    rates = GenerationRates()
    learn(rates, seconds=100, tokens=tokens, **fields)

    assert estimate(rates) == estimate(GenerationRates())


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, 1000),
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "choices": 3}, 21),
    ],
)
def test_no_more_is_made_than_was_asked_for(fields, most):
    demand = Demand(**{"prompt_bytes": 10, "context_length": 1000, **fields})

    assert estimate(GenerationRates(), seconds=1e6, demand=demand) == most


def test_vectors_have_no_tokens_of_an_answer():
    assert (
        estimate(GenerationRates(), demand=Demand(prompt_bytes=1, context_length=9, choices=0)) == 0
    )
