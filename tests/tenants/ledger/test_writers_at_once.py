"""Several writers at the ledger: no deadlock, no double row, one truth."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, transaction

from tenants.ledger import append_usage, bill_abandoned, load_counters
from tenants.models import ApiKey, QuotaUsage, UsageEvent, UsageHour
from tenants.scoping import every_tenant
from tests.fixtures.limits.usage import WINDOW, charge, charged, record

ROUNDS = 40
SCOPES = [f"key:{number}|tokens" for number in range(400)]
AGENTS = [f"agent-{number}" for number in range(100)]

pytestmark = pytest.mark.usefixtures("transactional_db", "seen_by_all")


@pytest.fixture
def together():
    """Calls functions at the same moment, each on a connection of its own."""

    def run(*calls):
        ready = threading.Barrier(len(calls))

        def call(function):
            try:
                with every_tenant(), connection.cursor():
                    ready.wait(60)
                    return function()
            finally:
                connection.close()

        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(call, calls))

    return run


def spread(first, agents, scopes=()):
    """Records from `first` on: one for each agent in this order, each charging these scopes."""
    charges = tuple(charge(1, scope) for scope in scopes)
    return [
        record(first + number, agent=agent, charges=charges) for number, agent in enumerate(agents)
    ]


@pytest.mark.slow
def test_writers_that_charge_in_opposite_orders_never_wait_for_each_other(together):
    def write(first, scopes):
        for number in range(ROUNDS):
            # An hour of its own: one they share would already keep them apart.
            append_usage(spread(first + number, [f"of-{first}"], scopes))

    # A deadlock is an error of one of them.
    together(lambda: write(10_000, SCOPES), lambda: write(20_000, SCOPES[::-1]))

    assert set(QuotaUsage.objects.values_list("used", flat=True)) == {2 * ROUNDS}


@pytest.mark.slow
def test_writers_of_the_same_hours_in_opposite_orders_never_wait_for_each_other(together):
    def write(first, agents):
        for number in range(ROUNDS):
            append_usage(spread(first + number * len(agents), agents))

    together(lambda: write(100_000, AGENTS), lambda: write(200_000, AGENTS[::-1]))

    assert set(UsageHour.objects.values_list("requests", flat=True)) == {2 * ROUNDS}


def test_writers_of_the_same_records_in_opposite_orders_write_each_once(together):
    for number in range(ROUNDS):
        batch = spread(10_000 + number * len(AGENTS), AGENTS)
        outcomes = together(partial(append_usage, batch), partial(append_usage, batch[::-1]))
        assert sum(outcome.new for outcome in outcomes) == len(batch)

    assert set(UsageHour.objects.values_list("requests", flat=True)) == {ROUNDS}


def test_overlapping_batches_are_counted_once(together):
    rng = random.Random(1)
    records = [charged(number, 10) for number in range(300)]

    def write():
        for _ in range(30):
            append_usage(rng.sample(records, 40))
        append_usage(records)

    together(write, write, write)

    assert UsageEvent.objects.count() == len(records)
    assert load_counters(1, [("tenant|tokens", WINDOW)])[0].used == 10 * len(records)
    assert UsageHour.objects.get().requests == len(records)


def test_however_bill_and_final_record_race_the_final_one_counts(together):
    for number in range(ROUNDS):
        together(
            lambda number=number: bill_abandoned([charged(number, 8)]),
            lambda number=number: append_usage([charged(number, 20)]),
            lambda number=number: append_usage([charged(number, 20)]),
        )

    assert load_counters(1, [("tenant|tokens", WINDOW)])[0].used == 20 * ROUNDS
    assert UsageHour.objects.get().requests == ROUNDS


def test_versions_rise_with_each_batch_whoever_writes(together):
    def write(first):
        for number in range(ROUNDS):
            append_usage([charged(first + number, 1)])

    together(lambda: write(0), lambda: write(1000))

    (state,) = load_counters(1, [("tenant|tokens", WINDOW)])
    assert (state.used, state.version) == (2 * ROUNDS, 2 * ROUNDS)


def test_a_key_that_is_being_changed_holds_nobody_up(together, acme):
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(tenant=acme.tenant)
        (appended,) = together(lambda: append_usage([record(1, api_key_id=key.pk)]))

    assert appended.new == 1
