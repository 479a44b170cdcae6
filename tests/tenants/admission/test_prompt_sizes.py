"""Guesses of prompt tokens."""

from tenants.admission.token_estimator import DEFAULT_EXCESS_TOKENS, TokenEstimator
from tenants.admission.usage.records import Usage


def counted(tokens, **facts):
    return Usage(prompt_tokens=tokens, completion_tokens=1, **facts)


def test_a_third_of_the_bytes_and_room_for_an_unknown_template():
    assert TokenEstimator().estimate(route="tiny", prompt_bytes=31) == 11 + DEFAULT_EXCESS_TOKENS


def test_the_same_prompt_is_known_exactly_once_it_was_counted():
    sizes = TokenEstimator()
    sizes.learn(route="tiny", prompt_bytes=31, usage=counted(47))

    assert sizes.estimate(route="tiny", prompt_bytes=31) == 47
    assert sizes.estimate(route="other", prompt_bytes=31) == 11 + DEFAULT_EXCESS_TOKENS


def test_a_guess_that_was_too_high_stays_cautious():
    sizes = TokenEstimator()
    sizes.learn(route="tiny", prompt_bytes=300, usage=counted(60))

    assert sizes.estimate(route="tiny", prompt_bytes=300) == 100


def test_an_unusual_prompt_is_forgotten_slowly():
    sizes = TokenEstimator()
    sizes.learn(route="tiny", prompt_bytes=3, usage=counted(1001))
    for _ in range(200):
        sizes.learn(route="tiny", prompt_bytes=3, usage=counted(11))

    assert 11 <= sizes.estimate(route="tiny", prompt_bytes=3) < 50


def test_estimates_and_failures_teach_nothing():
    sizes = TokenEstimator()
    sizes.learn(route="tiny", prompt_bytes=3, usage=counted(5, estimated=True))
    sizes.learn(route="tiny", prompt_bytes=3, usage=Usage())

    assert sizes.estimate(route="tiny", prompt_bytes=3) == 1 + DEFAULT_EXCESS_TOKENS
