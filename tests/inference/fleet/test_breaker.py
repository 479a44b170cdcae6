"""The breaker of one endpoint."""

import pytest

from inference.fleet.circuit_breaker import MAX_OPEN_SECONDS, RESET_AFTER_SECONDS, CircuitBreaker

USUAL = {"after": 3, "seconds": 30, "may_open": True}


def opened(at=0.0, times=1):
    breaker = CircuitBreaker()
    for _ in range(3 + times - 1):
        breaker.record_failure(at, **USUAL)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = CircuitBreaker()

    assert [breaker.record_failure(0, **USUAL) for _ in range(3)] == [False, False, True]
    assert (breaker.state(29.9), breaker.allows_request(29.9)) == ("open", False)


def test_a_success_in_between_starts_the_count_anew():
    breaker = CircuitBreaker()
    breaker.record_failure(0, **USUAL)
    breaker.record_failure(0, **USUAL)
    breaker.record_success()

    assert not breaker.record_failure(0, **USUAL)


def test_it_lets_one_request_at_a_time_try():
    breaker = opened()
    assert breaker.state(30) == "half_open"
    assert breaker.allows_request(30)

    breaker.record_start(30)

    assert not breaker.allows_request(30)


def test_a_trial_that_succeeds_closes_it():
    breaker = opened()
    breaker.record_start(30)
    breaker.record_success()

    assert (breaker.state(31), breaker.allows_request(31)) == ("closed", True)


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_each_trial_that_fails_leaves_it_out_for_longer(trials):
    breaker, now = opened(), 30.0
    for _ in range(trials):
        breaker.record_start(now)
        assert breaker.record_failure(now, **USUAL)
        now = breaker.open_until

    assert now == 30 * sum(range(1, trials + 2))


def test_a_trial_that_says_nothing_leaves_room_for_the_next():
    breaker = opened()
    breaker.record_start(30)
    breaker.record_neutral()

    assert breaker.allows_request(30)


def test_it_is_never_out_for_long():
    breaker, now = opened(), 30.0
    for _ in range(50):
        breaker.record_start(now)
        breaker.record_failure(now, **USUAL)
        assert breaker.open_until - now <= MAX_OPEN_SECONDS
        now = breaker.open_until


def test_many_that_break_at_once_leave_it_out_no_longer():
    breaker = CircuitBreaker()
    for _ in range(50):
        breaker.record_failure(0.0, after=3, seconds=30, may_open=True)

    assert breaker.open_until == 30


def test_old_failures_are_forgiven():
    breaker = opened()
    breaker.record_success()
    later = RESET_AFTER_SECONDS + 1
    for _ in range(3):
        breaker.record_failure(later, **USUAL)

    assert breaker.open_until == later + 30


def test_where_too_many_are_out_it_stays_in():
    breaker = CircuitBreaker()
    for _ in range(9):
        assert not breaker.record_failure(0, after=3, seconds=30, may_open=False)

    assert breaker.allows_request(0)
