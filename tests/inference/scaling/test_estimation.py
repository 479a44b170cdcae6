"""Estimates from the history: load, capacity of a replica, start time."""

import pytest

from inference.scaling.rehearsal.estimation import Recorded, estimate_capacity, moments_from

NOW = 1_795_250_000.0


def recorded(step, **facts):
    usual = {"at": NOW + 15 * step, "seconds": 15, "replicas": 1, "ready": 1}
    return Recorded(**{**usual, **facts})


def arrivals(samples):
    return [moment.arrivals for moment in moments_from(samples)]


def test_a_replica_can_do_what_it_did_under_full_load():
    full = [recorded(n, request_rate=5, waiting=9, in_flight=16) for n in range(20)]
    estimate = estimate_capacity(full, slots=16)
    assert estimate.is_measured
    assert estimate.capacity.requests_per_second == 5


def test_a_sample_in_which_only_its_end_was_busy_teaches_nothing_of_that():
    full = [recorded(n, request_rate=5, waiting=9 * (n % 2), in_flight=16) for n in range(40)]
    assert not estimate_capacity(full, slots=16).is_measured


def test_one_sample_that_counted_what_belongs_to_the_next_does_not_flatter():
    rates = (3, 7) * 3 + (5,) * 14
    full = [recorded(n, request_rate=each, waiting=9) for n, each in enumerate(rates)]
    assert estimate_capacity(full, slots=16).capacity.requests_per_second == 5


def test_otherwise_it_is_reckoned_from_how_long_requests_take():
    calm = [recorded(n, request_rate=2, waiting=0, in_flight=4) for n in range(20)]
    estimate = estimate_capacity(calm, slots=16)
    assert not estimate.is_measured
    assert estimate.capacity.requests_per_second == 8
    assert estimate.capacity.request_seconds == 2


def test_without_any_history_there_are_usual_values():
    assert estimate_capacity([], slots=16).capacity.start_seconds == 60


def test_the_start_is_learned_from_the_order_until_new_replicas_were_ready():
    samples = [
        *(recorded(n) for n in range(3)),
        *(recorded(n, replicas=3) for n in range(3, 9)),
        *(recorded(n, replicas=3, ready=3) for n in range(9, 12)),
    ]
    estimate = estimate_capacity(samples, slots=16)
    assert (estimate.starts, estimate.capacity.start_seconds) == (1, 105)


def test_a_start_that_was_called_off_teaches_nothing():
    samples = [recorded(0), recorded(1, replicas=3), recorded(2, replicas=1)]
    assert estimate_capacity(samples, slots=16).starts == 0


def test_what_began_to_wait_came_too():
    samples = [recorded(0, request_rate=4, waiting=0), recorded(1, request_rate=4, waiting=30)]
    assert arrivals(samples) == [4, 6]


def test_what_stopped_waiting_does_not_come_again():
    samples = [recorded(0, request_rate=4, waiting=60), recorded(1, request_rate=4, waiting=0)]
    assert arrivals(samples) == [8, 0]


def test_a_gap_is_filled_for_a_while_only():
    samples = [recorded(0, request_rate=4, waiting=0), recorded(100, request_rate=4, waiting=0)]
    found = arrivals(samples)
    assert len(found) == 101
    assert found[:21] == [4] * 21
    assert set(found[21:100]) == {0}


def test_what_is_not_known_goes_on_as_before():
    assert arrivals([recorded(0, request_rate=4), recorded(1)]) == [4, 4]


@pytest.mark.parametrize("seconds", [300, 3600])
def test_summed_up_samples_are_as_many_steps_as_they_stand_for(seconds):
    samples = [recorded(0, seconds=seconds, request_rate=2)]
    assert arrivals(samples) == [2] * (seconds // 15)
