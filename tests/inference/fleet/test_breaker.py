"""The breaker of one endpoint."""

import pytest

from inference.fleet.circuit_breaker import FORGIVEN_AFTER_SECONDS, MAX_OPEN_SECONDS, Breaker

USUAL = {"after": 3, "seconds": 30, "may_open": True}


def opened(at=0.0, times=1):
    breaker = Breaker()
    for _ in range(3 + times - 1):
        breaker.failed(at, **USUAL)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = Breaker()

    assert [breaker.failed(0, **USUAL) for _ in range(3)] == [False, False, True]
    assert (breaker.state(29.9), breaker.passes(29.9)) == ("open", False)


def test_a_success_in_between_starts_the_count_anew():
    breaker = Breaker()
    breaker.failed(0, **USUAL)
    breaker.failed(0, **USUAL)
    breaker.succeeded()

    assert not breaker.failed(0, **USUAL)


def test_it_lets_one_request_at_a_time_try():
    breaker = opened()
    assert breaker.state(30) == "half_open"
    assert breaker.passes(30)

    breaker.began(30)

    assert not breaker.passes(30)


def test_a_trial_that_succeeds_closes_it():
    breaker = opened()
    breaker.began(30)
    breaker.succeeded()

    assert (breaker.state(31), breaker.passes(31)) == ("closed", True)


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_each_trial_that_fails_leaves_it_out_for_longer(trials):
    breaker, now = opened(), 30.0
    for _ in range(trials):
        breaker.began(now)
        assert breaker.failed(now, **USUAL)
        now = breaker.open_until

    assert now == 30 * sum(range(1, trials + 2))


def test_a_trial_that_says_nothing_leaves_room_for_the_next():
    breaker = opened()
    breaker.began(30)
    breaker.gave_up()

    assert breaker.passes(30)


def test_it_is_never_out_for_long():
    breaker, now = opened(), 30.0
    for _ in range(50):
        breaker.began(now)
        breaker.failed(now, **USUAL)
        assert breaker.open_until - now <= MAX_OPEN_SECONDS
        now = breaker.open_until


def test_many_that_break_at_once_leave_it_out_no_longer():
    breaker = Breaker()
    for _ in range(50):
        breaker.failed(0.0, after=3, seconds=30, may_open=True)

    assert breaker.open_until == 30


def test_old_failures_are_forgiven():
    breaker = opened()
    breaker.succeeded()
    later = FORGIVEN_AFTER_SECONDS + 1
    for _ in range(3):
        breaker.failed(later, **USUAL)

    assert breaker.open_until == later + 30


def test_where_too_many_are_out_it_stays_in():
    breaker = Breaker()
    for _ in range(9):
        assert not breaker.failed(0, after=3, seconds=30, may_open=False)

    assert breaker.passes(0)
