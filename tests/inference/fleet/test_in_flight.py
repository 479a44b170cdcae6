"""Leases count each request exactly once, however it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.fleet.in_flight import InFlight
from kernel import metrics


def gauge(endpoint):
    return metrics.series(metrics.in_flight, "p", endpoint)._value.get()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=60))
def test_any_order_of_leases_and_releases_ends_at_zero(steps):
    in_flight, leases, held = InFlight(), [], []
    before = {name: gauge(name) for name in "abc"}
    for name, choice in steps:
        if choice < 5 or not leases:
            leases.append(in_flight.lease(pool="p", endpoint=name))
            held.append(name)
        else:
            index = choice % len(leases)
            leases[index].release()
            held[index] = ""
        assert {each: in_flight.of(each) for each in "abc"} == {n: held.count(n) for n in "abc"}
        assert in_flight.total() == sum(1 for name in held if name)

    for lease in leases * 2:
        lease.release()

    assert in_flight.total() == 0
    assert not in_flight._counts
    assert {name: gauge(name) for name in "abc"} == before


def test_a_lease_ends_with_its_block_even_if_that_fails():
    in_flight = InFlight()

    with pytest.raises(ZeroDivisionError), in_flight.lease(pool="p", endpoint="a"):
        _ = 1 / 0

    assert in_flight.total() == 0


def test_an_unknown_endpoint_works_on_nothing():
    assert InFlight().of("a") == 0


def test_workers_count_for_themselves():
    one, other = InFlight(), InFlight()

    one.lease(pool="p", endpoint="a")

    assert (one.of("a"), other.of("a")) == (1, 0)
