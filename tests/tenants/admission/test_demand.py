"""What is held for a request."""

import pytest

from tenants.admission.demand import TYPICAL_ANSWER, Demand, measure
from tests.fixtures.checks import checks, quota, rate

FULL, EXTEND = quota(limit=10**6), quota(limit=10**6, hold="extend")


def measured(*rules, prompt_tokens=100, **facts):
    demand = Demand(**{"prompt_bytes": 300, "context_length": 8192, **facts})
    return measure(demand, checks(*rules), prompt_tokens=prompt_tokens, longest_answer=4096)


def test_a_full_hold_is_as_long_as_the_client_allows():
    found = measured(FULL, longest_answer=50)

    assert (found.completion_tokens, found.limits_answer) == (50, True)


def test_a_request_without_a_limit_of_its_own_gets_the_plans():
    found = measured(FULL)

    assert found.completion_tokens == 4096
    assert found.longest_answer(4096, answers=1) == 4096


def test_nothing_is_held_that_the_model_cannot_write():
    assert measured(FULL, prompt_tokens=8000).completion_tokens == 192
    assert measured(FULL, prompt_tokens=9000).completion_tokens == 1
    assert measured(FULL, longest_answer=9000).completion_tokens == 8092


def test_several_answers_are_held_together_and_limited_apart():
    found = measured(FULL, longest_answer=50, answers=4)

    assert (found.completion_tokens, found.least_completion) == (200, 4)
    assert found.longest_answer(101, answers=4) == 25


def test_embeddings_have_no_answer():
    found = measured(FULL, answers=0)

    assert (found.completion_tokens, found.least_completion) == (0, 0)
    assert found.longest_answer(0, answers=0) is None


def test_a_stream_may_begin_with_a_typical_answer():
    found = measured(EXTEND, streams=True)

    assert (found.completion_tokens, found.extends) == (TYPICAL_ANSWER, True)
    assert found.longest_answer(TYPICAL_ANSWER, answers=1) is None


@pytest.mark.parametrize("rules", [(FULL, EXTEND), (EXTEND,)])
def test_what_cannot_be_watched_is_held_whole(rules):
    streams = len(rules) > 1

    assert not measured(*rules, streams=streams).extends
    assert measured(*rules, streams=streams).completion_tokens == 4096


@pytest.mark.parametrize(
    "rules",
    [(), (rate(requests_per_minute=1),), (quota(unit="requests"),), (quota(hard=False),)],
)
def test_without_a_quota_of_tokens_the_answer_is_the_clients_business(rules):
    assert measured(*rules).longest_answer(4096, answers=1) is None


def test_token_rates_reckon_with_a_typical_answer():
    assert measured().rate_tokens == 100 + TYPICAL_ANSWER
    assert measured(longest_answer=7).rate_tokens == 107
    assert measured(longest_answer=7, answers=3).rate_tokens == 121
