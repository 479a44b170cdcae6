"""What is held for a request."""

import pytest

from tenants.admission.limits.demand import TYPICAL_COMPLETION_TOKENS, Demand, measure
from tenants.admission.limits.messages import Granted, QuotaStatus
from tests.fixtures.limits.checks import checks, only_quota, quota, rate

FULL, EXTEND = quota(limit=10**6), quota(limit=10**6, hold="extend")


def measured(*rules, prompt_tokens=100, **facts):
    demand = Demand(**{"prompt_bytes": 300, "context_length": 8192, **facts})
    return measure(
        demand, checks(*rules), prompt_tokens=prompt_tokens, default_max_completion_tokens=4096
    )


def longest(found, granted, *rules, quotas=(), choices=1, max_completion_tokens=None):
    demand = Demand(
        prompt_bytes=300,
        context_length=8192,
        choices=choices,
        max_completion_tokens=max_completion_tokens,
    )
    answer = Granted(completion_tokens=granted, quotas=quotas)
    return found.completion_limit(answer, checks(*rules), demand=demand)


def test_a_full_hold_is_as_long_as_the_client_allows():
    found = measured(FULL, max_completion_tokens=50)

    assert (found.completion_tokens, found.limits_answer) == (50, True)


def test_a_request_without_a_limit_of_its_own_gets_the_plans():
    found = measured(FULL)

    assert found.completion_tokens == 4096
    assert longest(found, 4096, FULL) == 4096


def test_nothing_is_held_that_the_model_cannot_write():
    assert measured(FULL, prompt_tokens=8000).completion_tokens == 192
    assert measured(FULL, prompt_tokens=9000).completion_tokens == 1
    assert measured(FULL, max_completion_tokens=9000).completion_tokens == 8092


def test_several_answers_are_held_together_and_limited_apart():
    found = measured(FULL, max_completion_tokens=50, choices=4)

    assert (found.completion_tokens, found.min_completion_tokens) == (200, 4)
    assert longest(found, 101, FULL, choices=4) == 25


def test_embeddings_have_no_answer():
    found = measured(FULL, choices=0)

    assert (found.completion_tokens, found.min_completion_tokens) == (0, 0)
    assert longest(found, 0, FULL, choices=0) is None


def test_a_stream_may_begin_with_a_typical_answer():
    found = measured(EXTEND, streams=True)

    assert (found.completion_tokens, found.extends) == (TYPICAL_COMPLETION_TOKENS, True)


@pytest.mark.parametrize(
    ("remaining", "asked", "told"), [(100, None, 612), (0, None, 512), (100, 550, 550)]
)
def test_a_growing_answer_is_limited_to_all_that_is_left(remaining, asked, told):
    found = measured(EXTEND, streams=True, max_completion_tokens=asked)
    quota_left = only_quota(checks(EXTEND))
    standing = QuotaStatus(
        counter=quota_left.counter,
        window=quota_left.window,
        limit=1000,
        used=1000 - remaining,
        held=0,
        hard=True,
    )

    assert longest(found, 512, EXTEND, quotas=(standing,), max_completion_tokens=asked) == told


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
    assert longest(measured(*rules), 4096, *rules) is None


def test_token_rates_reckon_with_a_typical_answer():
    assert measured().rate_tokens == 100 + TYPICAL_COMPLETION_TOKENS
    assert measured(max_completion_tokens=7).rate_tokens == 107
    assert measured(max_completion_tokens=7, choices=3).rate_tokens == 121
