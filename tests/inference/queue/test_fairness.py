"""Whose turn it is, worked out without any server: weights hold, and idle time earns nothing."""

import random
import time
from collections import Counter

import pytest

from inference.fleet.fairness import NOBODY, TenantServiceCounters, cost_of
from inference.queueing.fair_queue import FairQueue

ACME, RIVAL, THIRD = 1, 2, 3


class Pool:
    """So many slots, requests that take as long as they cost, and tenants that always want more."""

    def __init__(self, *, slots=8, guess=lambda cost: cost):
        self.accounts = TenantServiceCounters()
        self.queue = FairQueue(self.accounts)
        self.served = Counter()
        self.running = []
        self.slots = slots
        self.guess = guess
        self.tickets = 0

    def ask(self, tenant, *, cost, weight=1):
        self.tickets += 1
        ticket = (self.tickets, tenant, cost)
        account = self.accounts.of(tenant, weight=weight)
        assert self.queue.join(ticket, account, room=10**6) is None

    def start(self):
        while self.queue and len(self.running) < self.slots:
            _, tenant, cost = self.queue.next()
            account = self.accounts._accounts[tenant]
            share = account.charge(self.guess(cost))
            self.queue.moved(account)
            self.running.append([cost, tenant, cost, share])
            yield tenant

    def work(self):
        """Until the next one ends; returns its tenant."""
        shortest = min(self.running)
        for each in self.running:
            each[0] -= shortest[0]
        self.running.remove(shortest)
        _, tenant, cost, share = shortest
        account = self.accounts._accounts[tenant]
        account.end(share)
        self.accounts.correct(account, share, cost)
        self.queue.moved(account)
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
    accounts = TenantServiceCounters()
    busy, back = accounts.of(RIVAL, weight=1), accounts.of(ACME, weight=1)
    share = back.charge(100_000)
    accounts.correct(busy, 0, 50_000)
    accounts.activate(back, least=NOBODY)

    back.end(share)
    accounts.correct(back, share, 10)

    assert back.counter >= 50_000


def test_a_tenant_whose_requests_were_guessed_too_large_delays_nobody():
    """A newcomer is compared with what others were served, not with what they might be."""
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

    pool.accounts.look(seconds=1, waiting=pool.queue, least=pool.queue.least())
    assert set(pool.accounts._accounts) == {ACME, RIVAL}

    for _ in range(2):
        list(pool.start())
        pool.work()
    pool.accounts.look(seconds=1, waiting=pool.queue, least=pool.queue.least())
    assert len(pool.accounts) == 0


def test_whoever_was_served_less_leads_in_the_engines_own_queue():
    accounts = TenantServiceCounters()
    acme, rival = accounts.of(ACME, weight=1), accounts.of(RIVAL, weight=1)
    accounts.activate(acme, least=NOBODY)
    for _ in range(10):
        acme.charge(100)
    accounts.activate(rival, least=NOBODY)

    assert accounts.lead_seconds(rival) < accounts.lead_seconds(acme)


def test_a_pick_among_a_thousand_tenants_is_quick():
    pool = Pool(slots=1)
    rng = random.Random(7)
    for tenant in range(1000):
        for _ in range(5):
            pool.ask(tenant, cost=rng.randint(50, 4000), weight=rng.randint(1, 9))
    queue, accounts = pool.queue, pool.accounts._accounts

    started = time.process_time()
    for _ in range(4000):
        _, tenant, cost = queue.next()
        accounts[tenant].charge(cost)
        queue.moved(accounts[tenant])
        accounts[tenant].correct(0, cost)
        queue.moved(accounts[tenant])
    each = (time.process_time() - started) / 4000

    assert each < 50e-6
