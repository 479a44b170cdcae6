"""GCRA on whole microseconds."""

from hypothesis import given
from hypothesis import strategies as st

from tenants.admission.limits.gcra import clamped, taken, wait_us

SECOND = 1_000_000


def run(*, burst, cost, moments):
    """The moments of those that pass."""
    tat, passed = 0, []
    for now in moments:
        if wait_us(tat=tat, now=now, cost=cost, burst=burst) == 0:
            tat = taken(tat=tat, now=now, cost=cost)
            passed.append(now)
    return passed


def test_a_burst_passes_at_once_and_no_more():
    assert len(run(burst=5 * SECOND, cost=SECOND, moments=[0] * 9)) == 5


def test_afterwards_one_passes_each_interval():
    moments = [0] * 5 + [step * SECOND // 2 for step in range(1, 9)]

    assert len(run(burst=5 * SECOND, cost=SECOND, moments=moments)) == 5 + 4


@given(burst=st.integers(1, 10), gaps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60))
def test_no_stretch_of_time_lets_more_pass_than_burst_and_rate(burst, gaps):
    moments = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    passed = run(burst=burst * SECOND, cost=SECOND, moments=moments)

    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            count = last - first + 1
            assert count <= burst + (passed[last] - start) / SECOND


@given(tat=st.integers(0, 100 * SECOND), now=st.integers(0, 100 * SECOND))
def test_the_wait_is_exact(tat, now):
    wait = wait_us(tat=tat, now=now, cost=SECOND, burst=3 * SECOND)

    assert wait_us(tat=tat, now=now + wait, cost=SECOND, burst=3 * SECOND) == 0
    if wait:
        assert wait_us(tat=tat, now=now + wait - 1, cost=SECOND, burst=3 * SECOND) == 1


def test_what_is_larger_than_the_burst_passes_when_the_burst_is_whole():
    assert wait_us(tat=0, now=SECOND, cost=9 * SECOND, burst=3 * SECOND) == 0
    assert wait_us(tat=SECOND + 1, now=SECOND, cost=9 * SECOND, burst=3 * SECOND) == 1


def test_a_clock_set_back_locks_out_no_longer_than_said():
    assert clamped(tat=3600 * SECOND, now=0, max_ahead=2 * SECOND) == 2 * SECOND
