"""When a candidate goes back: clearly worse by more than the margin, and not by chance."""

import random

import pytest

from agents.rollouts.regression import RevisionStats, regression_reason
from agents.rollouts.thresholds import Thresholds

LIMITS = Thresholds(min_runs=50, max_error_rate_increase_points=5, max_latency_increase_percent=50)


def record(runs=100, failed=0, **facts):
    usual = {"p95_ms": 1000.0, "p95_ttft_ms": 200.0, "streams": runs}
    return RevisionStats(runs=runs, failed=failed, **usual | facts)


def verdict(candidate, base=None):
    return regression_reason(base=base or record(), candidate=candidate, thresholds=LIMITS)


def test_an_equal_candidate_stays():
    assert verdict(record()) == ""


def test_a_candidate_that_fails_goes_back_with_the_numbers():
    told = verdict(record(failed=30))

    assert "30 of 100 runs (30.0%)" in told
    assert "0 of 100" in told


def test_a_candidate_within_the_margin_stays():
    assert verdict(record(runs=10_000, failed=500), record(runs=10_000)) == ""
    assert verdict(record(runs=10_000, failed=520), record(runs=10_000))


def test_a_base_that_fails_as_much_excuses_the_candidate():
    assert verdict(record(failed=30), record(failed=28)) == ""


@pytest.mark.parametrize(("base", "candidate"), [(49, 1000), (1000, 49), (0, 0), (0, 1000)])
def test_too_few_runs_say_nothing(base, candidate):
    assert verdict(record(runs=candidate, failed=candidate), record(runs=base)) == ""


def test_enough_runs_say_enough():
    assert verdict(record(runs=50, failed=50), record(runs=50))


def test_two_equal_revisions_are_hardly_ever_told_apart():
    rng = random.Random(5)

    def fails(runs):
        return sum(rng.random() < 0.1 for _ in range(runs))

    verdicts = [
        verdict(record(runs=50, failed=fails(50)), record(runs=50, failed=fails(50)))
        for _ in range(2000)
    ]

    assert sum(map(bool, verdicts)) <= 2000 * 0.02


@pytest.mark.parametrize(("ms", "goes"), [(1500.0, False), (1501.0, True), (10.0, False)])
def test_a_slower_candidate_goes_back(ms, goes):
    assert bool(verdict(record(p95_ms=ms))) is goes


def test_a_candidate_whose_first_tokens_are_late_goes_back():
    assert "first tokens" in verdict(record(p95_ttft_ms=900.0))


def test_first_tokens_count_when_there_are_enough_of_them():
    assert verdict(record(p95_ttft_ms=900.0, streams=49)) == ""


def test_what_nobody_feels_is_not_slower():
    assert verdict(record(p95_ms=40.0), record(p95_ms=1.0)) == ""


def test_without_a_finished_run_there_is_no_time_to_compare():
    assert verdict(record(failed=0, p95_ms=None, p95_ttft_ms=None, streams=0)) == ""
