"""The thresholds of probes, as pure rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.probes.thresholds import (
    MAX_STREAK,
    ProbeRules,
    next_interval,
    should_fail,
    should_recover,
    streak_after,
)

RULES = ProbeRules(rise=2, fall=3, seconds=10)


def streak_of(*probes, start=0):
    for good in probes:
        start = streak_after(start, good=good)
    return start


@pytest.mark.parametrize(
    ("probes", "streak"),
    [((True, True), 2), ((False, False, False), -3), ((True, True, False), -1), ((False, True), 1)],
)
def test_only_what_comes_in_a_row_counts(probes, streak):
    assert streak_of(*probes) == streak


def test_it_takes_as_many_as_the_pool_says():
    assert [should_fail(streak, rules=RULES) for streak in (0, -2, -3, -4)] == [
        False,
        False,
        True,
        True,
    ]
    assert [should_recover(streak, rules=RULES) for streak in (0, 1, 2, 3)] == [
        False,
        False,
        True,
        True,
    ]


@given(st.lists(st.booleans(), max_size=50), st.integers(-MAX_STREAK, MAX_STREAK))
def test_no_history_both_rises_and_falls_or_outgrows_its_column(probes, start):
    streak = streak_of(*probes, start=start)

    assert not (should_fail(streak, rules=RULES) and should_recover(streak, rules=RULES))
    assert abs(streak) <= MAX_STREAK


@pytest.mark.parametrize(
    ("streak", "is_ready", "seconds"),
    [(5, True, 10), (-1, True, 2), (-9, False, 10), (1, False, 2), (0, True, 10)],
)
def test_doubt_makes_it_ask_sooner(streak, is_ready, seconds):
    assert next_interval(streak, is_ready=is_ready, rules=RULES) == seconds


def test_doubt_never_makes_it_ask_later():
    often = ProbeRules(rise=1, fall=1, seconds=0.5)

    assert next_interval(-1, is_ready=True, rules=often) == 0.5
