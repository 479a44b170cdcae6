"""Fair order without a server: weights hold, and idle time earns no credit."""

import random
import time
from collections import Counter

import pytest

from inference.fleet.fairness import NONE_WAITING, TenantServiceCounters, cost_of
from inference.queueing.fair_queue import FairQueue

ACME, RIVAL, THIRD = 1, 2, 3


class Pool:
    """A simulated pool: requests take as long as they cost, and tenants always have more."""

    def __init__(self, *, slots=8, guess=lambda cost: cost):
        self.counters = TenantServiceCounters()
        self.queue = FairQueue(self.counters)
        self.served = Counter()
        self.running = []
        self.slots = slots
        self.guess = guess
        self.tickets = 0

    def ask(self, tenant, *, cost, weight=1):
        self.tickets += 1
        ticket = (self.tickets, tenant, cost)
        counter = self.counters.of(tenant, weight=weight)
        assert self.queue.join(ticket, counter, room=10**6) is None

    def start(self):
        while self.queue and len(self.running) < self.slots:
            _, tenant, cost = self.queue.next()
            counter = self.counters._counters[tenant]
            share = counter.charge(self.guess(cost))
            self.queue.moved(counter)
            self.running.append([cost, tenant, cost, share])
            yield tenant

    def work(self):
        """Advance until the next request ends, and return its tenant."""
        shortest = min(self.running)
        for each in self.running:
            each[0] -= shortest[0]
        self.running.remove(shortest)
        _, tenant, cost, share = shortest
        counter = self.counters._counters[tenant]
        counter.end(share)
        self.counters.correct(counter, share, cost)
        self.queue.moved(counter)
        self.served[tenant] += cost
        return tenant


GUESSES = {
    "exact": lambda cost: cost,
    "far too much": lambda _: 8000,
    "nothing at all": lambda _: 0,
    "anything": lambda cost: (cost * 7919) % 9000,
}


@pytest.mark.parametrize("guess", GUESSES)
def test_backlogged_tenants_are_served_by_their_weights(guess):
    weights = {ACME: 1, RIVAL: 2, THIRD: 4}
    rng = random.Random(7)
    pool = Pool(guess=GUESSES[guess])
    for tenant, weight in weights.items():
        for _ in range(40):
            pool.ask(tenant, cost=rng.randint(50, 4000), weight=weight)

    for _ in range(2000):
        list(pool.start())
        tenant = pool.work()
        pool.ask(tenant, cost=rng.randint(50, 4000), weight=weights[tenant])

    total = sum(pool.served.values())
    for tenant, weight in weights.items():
        assert pool.served[tenant] / total == pytest.approx(weight / 7, rel=0.1)


def test_a_tenant_back_from_idle_has_no_credit():
    pool = Pool(slots=1)
    pool.ask(ACME, cost=100)
    for _ in range(1000):
        pool.ask(RIVAL, cost=100)
    for _ in range(500):
        list(pool.start())
        pool.work()

    for _ in range(50):
        pool.ask(ACME, cost=100)
    started = []
    for _ in range(60):
        started += pool.start()
        pool.work()

    assert 28 <= Counter(started)[ACME] <= 32


def test_a_wrong_guess_before_a_lift_is_no_credit():
    counters = TenantServiceCounters()
    busy, back = counters.of(RIVAL, weight=1), counters.of(ACME, weight=1)
    share = back.charge(100_000)
    counters.correct(busy, 0, 50_000)
    counters.activate(back, min_counter=NONE_WAITING)

    back.end(share)
    counters.correct(back, share, 10)

    assert back.value >= 50_000


def test_a_tenant_whose_requests_were_guessed_too_large_delays_nobody():
    """A new tenant is compared with the service of others, not with their estimates."""
    pool = Pool(slots=50, guess=lambda cost: 8000 if cost == 100 else cost)
    for _ in range(100):
        pool.ask(ACME, cost=100)
    list(pool.start())
    pool.ask(RIVAL, cost=50)
    pool.work()

    assert list(pool.start()) == [RIVAL]


def test_an_answers_tokens_cost_twice_a_prompts():
    assert cost_of(prompt_tokens=100, completion_tokens=10) == 120


def test_tenants_without_requests_are_forgotten_unless_they_had_more_than_others():
    pool = Pool(slots=1)
    pool.ask(ACME, cost=5000)
    for _ in range(3):
        pool.ask(RIVAL, cost=10)
    for _ in range(2):
        list(pool.start())
        pool.work()

    pool.counters.tick(seconds=1, waiting=pool.queue, min_counter=pool.queue.min_counter())
    assert set(pool.counters._counters) == {ACME, RIVAL}

    for _ in range(2):
        list(pool.start())
        pool.work()
    pool.counters.tick(seconds=1, waiting=pool.queue, min_counter=pool.queue.min_counter())
    assert len(pool.counters) == 0


def test_whoever_was_served_less_leads_in_the_engines_own_queue():
    counters = TenantServiceCounters()
    acme, rival = counters.of(ACME, weight=1), counters.of(RIVAL, weight=1)
    counters.activate(acme, min_counter=NONE_WAITING)
    for _ in range(10):
        acme.charge(100)
    counters.activate(rival, min_counter=NONE_WAITING)

    assert counters.lead_seconds(rival) < counters.lead_seconds(acme)


def test_a_pick_among_a_thousand_tenants_is_quick():
    pool = Pool(slots=1)
    rng = random.Random(7)
    for tenant in range(1000):
        for _ in range(5):
            pool.ask(tenant, cost=rng.randint(50, 4000), weight=rng.randint(1, 9))
    queue, counters = pool.queue, pool.counters._counters

    started = time.process_time()
    for _ in range(4000):
        _, tenant, cost = queue.next()
        counters[tenant].charge(cost)
        queue.moved(counters[tenant])
        counters[tenant].correct(0, cost)
        queue.moved(counters[tenant])
    each = (time.process_time() - started) / 4000

    assert each < 50e-6
