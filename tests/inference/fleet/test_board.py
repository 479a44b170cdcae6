"""What a worker knows of endpoints, and whom it leaves out."""

import random

import pytest

from inference.errors import NoEndpointAvailable, Starting
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import Load
from inference.fleet.in_flight import InFlight
from inference.fleet.pick_context import PickContext
from inference.fleet.retry_budget import FLOOR, RetryBudget
from inference.fleet.snapshot import Endpoint, Pool


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def pool(*names, **facts):
    endpoints = tuple(Endpoint(id=name, address=f"http://{name}", model="m") for name in names)
    return Pool(name="p", engine="vllm", **{"endpoints": endpoints, "eject_after": 2, **facts})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(clock):
    return EndpointBalancer(InFlight(), rng=random.Random(7), clock=clock)


def names(board, asked):
    return {each.endpoint.id for each in board.field(asked).candidates}


def fail(board, asked, name, *, times=2):
    (found,) = (each for each in board.field(asked).candidates if each.endpoint.id == name)
    for _ in range(times):
        board.failed(asked, found)
    return found


def test_who_fails_is_left_out_and_comes_back(board, clock):
    asked = pool("a", "b", "c")
    fail(board, asked, "a")
    assert names(board, asked) == {"b", "c"}

    clock.now += 30

    assert names(board, asked) == {"a", "b", "c"}


def test_never_more_than_half_are_left_out(board):
    asked = pool("a", "b", "c", "d")
    for name in "abcd":
        fail(board, asked, name)

    assert len(names(board, asked)) == 2


def test_a_lone_endpoint_is_never_left_out(board):
    asked = pool("a")
    fail(board, asked, "a", times=50)

    assert names(board, asked) == {"a"}


def test_a_trial_keeps_others_away_until_it_is_decided(board, clock):
    asked = pool("a", "b", "c")
    found = fail(board, asked, "a")
    clock.now += 30
    lease = board.begin(asked, found)
    assert names(board, asked) == {"b", "c"}

    board.answered(asked, found, seconds=0.1)
    lease.release()

    assert names(board, asked) == {"a", "b", "c"}
    assert found.in_flight == 0


@pytest.mark.parametrize(("forced", "expected"), [("open", {"b"}), ("closed", {"a", "b"})])
def test_an_operator_has_the_last_word(board, forced, expected):
    a = Endpoint(id="a", address="http://a", model="m", forced=forced)
    b = Endpoint(id="b", address="http://b", model="m")
    asked = pool(endpoints=(a, b))
    if forced == "closed":
        fail(board, asked, "a")

    assert names(board, asked) == expected


def test_draining_endpoints_take_nothing(board):
    gone = Endpoint(id="a", address="http://a", model="m", ready=False)

    with pytest.raises(NoEndpointAvailable):
        board.choose(pool(endpoints=(gone,)), PickContext(), visited=())


def test_a_pool_without_endpoints_is_starting(board):
    with pytest.raises(Starting) as caught:
        board.choose(pool(), PickContext(), visited=())

    assert caught.value.retry_after == 10


def test_nobody_is_asked_twice(board):
    asked = pool("a", "b")

    assert board.choose(asked, PickContext(), visited=["a"]).endpoint.id == "b"
    with pytest.raises(NoEndpointAvailable):
        board.choose(asked, PickContext(), visited=["a", "b"])


def test_a_full_endpoint_is_passed_over(board):
    small = Endpoint(id="small", address="http://s", model="m", max_concurrency=1)
    large = Endpoint(id="large", address="http://l", model="m", max_concurrency=100)
    asked = pool(endpoints=(small, large), strategy="round_robin")
    board.begin(asked, board._candidate(small))

    chosen = {board.choose(asked, PickContext(), visited=()).endpoint.id for _ in range(10)}

    assert chosen == {"large"}


def test_workers_hear_what_others_run_and_leave_out(board, clock):
    asked = pool("a", "b", "c")
    assert names(board, asked) == {"a", "b", "c"}
    said = {"in_flight": 7, "ejected_until": clock.now + 5}

    board.hear([{"a": said}, {"a": {"in_flight": 2, "ejected_until": None}}])

    assert board.elsewhere("p") == 9
    assert names(board, asked) == {"b", "c"}
    clock.now += 5
    assert names(board, asked) == {"a", "b", "c"}


def test_what_is_told_can_be_heard(board, clock):
    asked = pool("a", "b", "c")
    fail(board, asked, "a")
    other = EndpointBalancer(InFlight(), rng=random.Random(1), clock=clock)
    other.field(asked)

    other.hear([board.report()])

    assert names(other, asked) == {"b", "c"}


def test_a_new_endpoint_warms_up(board, clock):
    new = Endpoint(id="new", address="http://n", model="m", ready_since=clock.now)
    asked = pool(endpoints=(new,), slow_start_seconds=60)
    (found,) = board.field(asked).candidates
    board.look()
    cold = found.warmth
    clock.now += 30
    board.look()

    assert (cold, found.warmth) == (0.1, 0.5)


def test_what_is_compared_follows_what_is_heard(board):
    asked = pool("a", "b", strategy="queue_aware")
    a, b = board.field(asked).candidates
    board.apply_engine_loads({"a": Load(kv=0.9)})
    assert board.choose(asked, PickContext(), visited=()) is b

    board.apply_engine_loads({"b": Load(kv=0.5)})
    assert board.choose(asked, PickContext(), visited=()) is a


def test_a_pool_is_out_when_nobody_in_it_is_believed_to_work(board, clock):
    asked = pool("a", "b", "c", eject_seconds=30)
    for name in "ab":
        fail(board, asked, name)
    assert not board.is_out(asked)
    assert names(board, asked) == {"b", "c"}

    fail(board, asked, "c")
    assert board.is_out(asked)
    assert names(board, asked) == {"b", "c"}, "where there is no other pool they are tried"

    clock.now += 30
    assert not board.is_out(asked)


def test_a_pool_that_has_too_much_to_do_is_out_for_a_moment(board, clock):
    asked = pool("a")
    (only,) = board.field(asked).candidates
    board.note_overloaded(asked, only)
    assert board.is_out(asked)

    clock.now += 1
    assert not board.is_out(asked)


def test_a_whole_answer_brings_a_pool_back_at_once(board):
    asked = pool("a")
    only = fail(board, asked, "a")
    assert board.is_out(asked)

    board.answered(asked, only, seconds=0.1)
    assert board.is_out(asked), "it may break off again"
    board.ended_well(asked, only)

    assert not board.is_out(asked)


def test_retries_are_a_fifth_of_what_is_asked():
    budget = RetryBudget()
    for _ in range(1000):
        budget.asked()

    taken = 0
    for _ in range(1000):
        budget.asked()
        taken += budget.take()
    assert 200 <= taken <= 200 + 20 + FLOOR


@pytest.mark.parametrize("asked", [1, 10, 15, 16, 100, 5000])
def test_never_more_than_a_fifth_is_tried_again_from_the_first_request_on(asked):
    budget, taken = RetryBudget(), 0
    for _ in range(asked):
        budget.asked()
        while budget.take():
            taken += 1

    assert min(FLOOR, asked) <= taken <= max(FLOOR, 0.2 * asked + 1e-6)


def test_what_is_asked_of_an_empty_pool_is_counted(board, clock):
    for _ in range(3):
        clock.now += 1
        with pytest.raises(Starting):
            board.choose(pool(), PickContext(), visited=())
    (asked,) = board.demand().values()
    assert asked == {"requests": 3, "at": clock.now}


def test_where_all_were_visited_nothing_is_missing(board):
    with pytest.raises(NoEndpointAvailable):
        board.choose(pool("a"), PickContext(), visited=["a"])
    assert board.demand() == {}
