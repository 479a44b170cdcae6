"""Figures of a candidate that differ widely are shown before enough runs are there to decide."""

import pytest

from agents.rollouts.regression import RevisionStats, early_warnings, regression_reason
from agents.rollouts.thresholds import Thresholds

LIMITS = Thresholds(min_runs=30, max_error_rate_increase_points=5, max_latency_increase_percent=50)


def record(runs=10, failed=0, **facts):
    usual = {"p95_ms": 531.0, "p95_ttft_ms": 207.0, "streams": runs}
    return RevisionStats(runs=runs, failed=failed, **usual | facts)


def signs(candidate, base=None):
    found = early_warnings(base=base or record(), candidate=candidate, thresholds=LIMITS)
    return {sign.figure: sign.mark for sign in found}


def test_a_candidate_that_is_much_slower_is_marked_though_too_little_is_known():
    candidate = record(p95_ms=18_749.0, p95_ttft_ms=5_893.0)
    assert regression_reason(base=record(), candidate=candidate, thresholds=LIMITS) == ""
    assert signs(candidate) == {"p95_ms": "35 times as long", "p95_ttft_ms": "28 times as long"}


def test_a_candidate_that_fails_much_more_is_marked():
    assert signs(record(failed=3)) == {"failed": "fails much more"}
    assert signs(record(failed=10), record(failed=10)) == {}


@pytest.mark.parametrize(
    "candidate",
    [
        record(),
        record(failed=1),
        record(p95_ms=1000.0, p95_ttft_ms=400.0),
        record(p95_ms=None, p95_ttft_ms=None),
        record(p95_ms=100.0, p95_ttft_ms=20.0),
    ],
)
def test_a_candidate_that_does_about_as_well_is_not_marked(candidate):
    assert signs(candidate) == {}


@pytest.mark.parametrize(("base", "candidate"), [(2, 10), (10, 2), (0, 0)])
def test_one_or_two_runs_are_not_marked(base, candidate):
    slow = record(runs=candidate, p95_ms=90_000.0)
    assert signs(slow, record(runs=base)) == {}


def test_three_runs_of_each_are_enough():
    assert signs(record(runs=3, p95_ms=90_000.0), record(runs=3)) == {"p95_ms": "169 times as long"}


def test_first_tokens_are_marked_where_enough_answers_were_streamed():
    assert signs(record(p95_ttft_ms=9_000.0, streams=2)) == {}


def test_a_difference_that_nobody_feels_is_not_marked():
    assert signs(record(p95_ms=45.0), record(p95_ms=1.0)) == {}


def test_the_allowed_difference_counts():
    patient = Thresholds(
        min_runs=30, max_error_rate_increase_points=50, max_latency_increase_percent=10_000
    )
    worse = record(failed=8, p95_ms=18_749.0)
    assert early_warnings(base=record(), candidate=worse, thresholds=patient) == ()
