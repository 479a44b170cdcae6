"""The state of endpoints in a worker, and their exclusion."""

import random

import pytest

from inference.errors import NoEndpointAvailable, Starting
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import ReportedLoad
from inference.fleet.in_flight import InFlight
from inference.fleet.pick_context import PickContext
from inference.fleet.retry_budget import INITIAL_RETRIES, RetryBudget
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
def balancer(clock):
    return EndpointBalancer(InFlight(), rng=random.Random(7), clock=clock)


def names(balancer, asked):
    return {each.endpoint.id for each in balancer.field(asked).candidates}


def fail(balancer, asked, name, *, times=2):
    (found,) = (each for each in balancer.field(asked).candidates if each.endpoint.id == name)
    for _ in range(times):
        balancer.note_failure(asked, found)
    return found


def test_who_fails_is_left_out_and_comes_back(balancer, clock):
    asked = pool("a", "b", "c")
    fail(balancer, asked, "a")
    assert names(balancer, asked) == {"b", "c"}

    clock.now += 30

    assert names(balancer, asked) == {"a", "b", "c"}


def test_never_more_than_half_are_left_out(balancer):
    asked = pool("a", "b", "c", "d")
    for name in "abcd":
        fail(balancer, asked, name)

    assert len(names(balancer, asked)) == 2


def test_a_lone_endpoint_is_never_left_out(balancer):
    asked = pool("a")
    fail(balancer, asked, "a", times=50)

    assert names(balancer, asked) == {"a"}


def test_a_trial_keeps_others_away_until_it_is_decided(balancer, clock):
    asked = pool("a", "b", "c")
    found = fail(balancer, asked, "a")
    clock.now += 30
    lease = balancer.start_request(asked, found)
    assert names(balancer, asked) == {"b", "c"}

    balancer.note_first_token(asked, found, seconds=0.1)
    lease.release()

    assert names(balancer, asked) == {"a", "b", "c"}
    assert found.in_flight == 0


@pytest.mark.parametrize(
    ("breaker_override", "expected"), [("open", {"b"}), ("closed", {"a", "b"})]
)
def test_an_operator_has_the_last_word(balancer, breaker_override, expected):
    a = Endpoint(id="a", address="http://a", model="m", breaker_override=breaker_override)
    b = Endpoint(id="b", address="http://b", model="m")
    asked = pool(endpoints=(a, b))
    if breaker_override == "closed":
        fail(balancer, asked, "a")

    assert names(balancer, asked) == expected


def test_draining_endpoints_take_nothing(balancer):
    gone = Endpoint(id="a", address="http://a", model="m", ready=False)

    with pytest.raises(NoEndpointAvailable):
        balancer.choose(pool(endpoints=(gone,)), PickContext(), visited=())


def test_a_pool_without_endpoints_is_starting(balancer):
    with pytest.raises(Starting) as caught:
        balancer.choose(pool(), PickContext(), visited=())

    assert caught.value.retry_after == 10


def test_nobody_is_asked_twice(balancer):
    asked = pool("a", "b")

    assert balancer.choose(asked, PickContext(), visited=["a"]).endpoint.id == "b"
    with pytest.raises(NoEndpointAvailable):
        balancer.choose(asked, PickContext(), visited=["a", "b"])


def test_a_full_endpoint_is_passed_over(balancer):
    small = Endpoint(id="small", address="http://s", model="m", max_concurrency=1)
    large = Endpoint(id="large", address="http://l", model="m", max_concurrency=100)
    asked = pool(endpoints=(small, large), strategy="round_robin")
    balancer.start_request(asked, balancer._candidate(small))

    chosen = {balancer.choose(asked, PickContext(), visited=()).endpoint.id for _ in range(10)}

    assert chosen == {"large"}


def test_workers_hear_what_others_run_and_leave_out(balancer, clock):
    asked = pool("a", "b", "c")
    assert names(balancer, asked) == {"a", "b", "c"}
    said = {"in_flight": 7, "ejected_until": clock.now + 5}

    balancer.apply_worker_reports([{"a": said}, {"a": {"in_flight": 2, "ejected_until": None}}])

    assert balancer.elsewhere("p") == 9
    assert names(balancer, asked) == {"b", "c"}
    clock.now += 5
    assert names(balancer, asked) == {"a", "b", "c"}


def test_what_is_told_can_be_heard(balancer, clock):
    asked = pool("a", "b", "c")
    fail(balancer, asked, "a")
    other = EndpointBalancer(InFlight(), rng=random.Random(1), clock=clock)
    other.field(asked)

    other.apply_worker_reports([balancer.report()])

    assert names(other, asked) == {"b", "c"}


def test_a_new_endpoint_warms_up(balancer, clock):
    new = Endpoint(id="new", address="http://n", model="m", ready_since=clock.now)
    asked = pool(endpoints=(new,), slow_start_seconds=60)
    (found,) = balancer.field(asked).candidates
    balancer.tick()
    cold = found.slow_start_share
    clock.now += 30
    balancer.tick()

    assert (cold, found.slow_start_share) == (0.1, 0.5)


def test_what_is_compared_follows_what_is_heard(balancer):
    asked = pool("a", "b", strategy="queue_aware")
    a, b = balancer.field(asked).candidates
    balancer.apply_engine_loads({"a": ReportedLoad(kv=0.9)})
    assert balancer.choose(asked, PickContext(), visited=()) is b

    balancer.apply_engine_loads({"b": ReportedLoad(kv=0.5)})
    assert balancer.choose(asked, PickContext(), visited=()) is a


def test_a_pool_is_out_when_nobody_in_it_is_believed_to_work(balancer, clock):
    asked = pool("a", "b", "c", eject_seconds=30)
    for name in "ab":
        fail(balancer, asked, name)
    assert not balancer.is_out(asked)
    assert names(balancer, asked) == {"b", "c"}

    fail(balancer, asked, "c")
    assert balancer.is_out(asked)
    assert names(balancer, asked) == {"b", "c"}, "where there is no other pool they are tried"

    clock.now += 30
    assert not balancer.is_out(asked)


def test_a_pool_that_has_too_much_to_do_is_out_for_a_moment(balancer, clock):
    asked = pool("a")
    (only,) = balancer.field(asked).candidates
    balancer.note_overloaded(asked, only)
    assert balancer.is_out(asked)

    clock.now += 1
    assert not balancer.is_out(asked)


def test_a_whole_answer_brings_a_pool_back_at_once(balancer):
    asked = pool("a")
    only = fail(balancer, asked, "a")
    assert balancer.is_out(asked)

    balancer.note_first_token(asked, only, seconds=0.1)
    assert balancer.is_out(asked), "it may break off again"
    balancer.note_success(asked, only)

    assert not balancer.is_out(asked)


def test_retries_are_a_fifth_of_what_is_asked():
    budget = RetryBudget()
    for _ in range(1000):
        budget.add_request()

    taken = 0
    for _ in range(1000):
        budget.add_request()
        taken += budget.take()
    assert 200 <= taken <= 200 + 20 + INITIAL_RETRIES


@pytest.mark.parametrize("asked", [1, 10, 15, 16, 100, 5000])
def test_never_more_than_a_fifth_is_tried_again_from_the_first_request_on(asked):
    budget, taken = RetryBudget(), 0
    for _ in range(asked):
        budget.add_request()
        while budget.take():
            taken += 1

    assert min(INITIAL_RETRIES, asked) <= taken <= max(INITIAL_RETRIES, 0.2 * asked + 1e-6)


def test_what_is_asked_of_an_empty_pool_is_counted(balancer, clock):
    for _ in range(3):
        clock.now += 1
        with pytest.raises(Starting):
            balancer.choose(pool(), PickContext(), visited=())
    (asked,) = balancer.demand().values()
    assert asked == {"requests": 3, "at": clock.now}


def test_where_all_were_visited_nothing_is_missing(balancer):
    with pytest.raises(NoEndpointAvailable):
        balancer.choose(pool("a"), PickContext(), visited=["a"])
    assert balancer.demand() == {}


def test_an_ejection_and_its_end_are_one_log_line_each(balancer, clock, caplog):
    caplog.set_level("INFO")
    requested = pool("a", "b", "c")
    ejected = fail(balancer, requested, "a", times=5)
    clock.now += 30
    balancer.start_request(requested, ejected)
    balancer.note_first_token(requested, ejected, seconds=0.1)
    balancer.note_success(requested, ejected)
    balancer.note_success(requested, ejected)

    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" (")[0] for line in lines] == [
        "fleet: endpoint ejected",
        "fleet: endpoint serves again",
    ]
    assert "endpoint=a, failures=2" in lines[0]
