"""The bounds of the queue, and the removal of requests that leave it."""

import random
from collections import Counter

from inference.fleet.fairness import TenantServiceCounters
from inference.queueing.fair_queue import FairQueue

ACME, RIVAL, THIRD = 1, 2, 3


class Place:
    """A queue with a limit."""

    def __init__(self, room):
        self.counters = TenantServiceCounters()
        self.queue = FairQueue(self.counters)
        self.room = room

    def join(self, ticket, tenant, *, weight=1):
        counter = self.counters.of(tenant, weight=weight)
        return self.queue.join(ticket, counter, room=self.room)

    def leave(self, ticket, tenant):
        return self.queue.leave(ticket, self.counters.of(tenant, weight=1))


def test_a_tenants_requests_come_in_their_order():
    place = Place(10)
    for ticket in "abc":
        place.join(ticket, ACME)

    assert [place.queue.next() for _ in "abc"] == ["a", "b", "c"]


def test_one_tenant_alone_may_fill_the_queue():
    place = Place(3)

    assert [place.join(ticket, ACME) for ticket in "abcd"] == [None, None, None, "d"]


def test_a_full_queue_makes_room_for_a_tenant_that_has_less_than_its_share():
    place = Place(4)
    for ticket in "abcd":
        place.join(ticket, ACME)

    assert [place.join(ticket, RIVAL) for ticket in "xyz"] == ["d", "c", "z"]
    assert place.queue.tenants() == {ACME: 2, RIVAL: 2}


def test_room_is_shared_by_weight():
    place = Place(70)
    for number in range(100):
        for tenant, weight in ((ACME, 1), (RIVAL, 2), (THIRD, 4)):
            place.join((tenant, number), tenant, weight=weight)

    assert place.queue.tenants() == {ACME: 10, RIVAL: 20, THIRD: 40}


def test_a_queue_without_room_takes_nobody():
    place = Place(0)

    assert place.join("a", ACME) == "a"
    assert not place.queue


def test_who_left_is_not_next_and_leaves_once():
    place = Place(10)
    for ticket in "abc":
        place.join(ticket, ACME)

    assert (place.leave("a", ACME), place.leave("a", ACME)) == (True, False)
    assert place.queue.next() == "b"
    assert place.leave("b", ACME) is False


def test_whatever_happens_counts_stay_true_and_stale_entries_few():
    rng = random.Random(7)
    place = Place(50)
    waiting = {}
    for number in range(20_000):
        tenant = rng.randint(1, 20)
        match rng.randint(0, 3):
            case 0 | 1:
                dropped = place.join(number, tenant, weight=rng.randint(1, 5))
                waiting[number] = tenant
                waiting.pop(dropped, None)
            case 2 if waiting:
                ticket = rng.choice(list(waiting))
                assert place.leave(ticket, waiting.pop(ticket))
            case 3 if waiting:
                ticket = place.queue.next()
                counter = place.counters.of(waiting.pop(ticket), weight=1)
                counter.end(counter.charge(rng.randint(1, 100)))
                place.queue.moved(counter)
        assert len(place.queue) == len(waiting) <= 50
    assert place.queue.tenants() == Counter(waiting.values())
    assert len(place.queue._heap) <= 2 * 20 + 64
    while place.queue:
        assert waiting.pop(place.queue.next())
    assert (place.queue._weights, waiting) == (0, {})
