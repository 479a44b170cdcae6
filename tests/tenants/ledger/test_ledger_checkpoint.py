"""Reconciliation reads only what is new in the ledger, and misses no row that is committed late."""

import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tenants.ledger import append_usage, reconcile_job
from tenants.ledger.append import append_within
from tenants.ledger.reconciliation import find_counter_drift, raise_counters
from tenants.models import ChargedSum, LedgerCheckpoint, QuotaUsage, UsageEvent
from tenants.scoping import every_tenant
from tests.fixtures.limits.usage import WINDOW, charge, charged, record

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OVER = NOW + timedelta(days=60)

pytestmark = pytest.mark.usefixtures("transactional_db", "seen_by_all")


def reconcile(now=NOW, **since):
    """What each call finds, by counter."""
    found = raise_counters(now=now, **since)
    return {each.key.counter: (each.charged, each.used) for each in found}


def move_on(now=NOW):
    """Until the checkpoint is at the last row: transactions of other tests may hold it up."""
    ends = time.monotonic() + 60
    last = UsageEvent.objects.latest("pk").pk
    while LedgerCheckpoint.objects.filter(through_id=last).count() == 0:
        assert time.monotonic() < ends, "the checkpoint does not move"
        reconcile(now)


def lower(used, tenant_id=1):
    QuotaUsage.objects.filter(tenant_id=tenant_id).update(used=used)


def checkpoint():
    return LedgerCheckpoint.objects.get()


def test_drift_is_found_before_and_behind_the_checkpoint():
    append_usage([charged(1, 8), charged(2, 5, tenant_id=2)])
    assert reconcile() == {}
    move_on()
    assert ChargedSum.objects.count() == 2

    append_usage([charged(3, 7)])
    lower(1)
    assert reconcile() == {"tenant|tokens": (15, 1)}
    lower(2, tenant_id=2)
    assert reconcile() == {"tenant|tokens": (5, 2)}
    assert reconcile() == {}
    assert find_counter_drift(now=NOW) == []


def test_sums_stay_right_however_often_it_is_called():
    for number in range(6):
        append_usage([charged(number, 10), record(f"{number}k", charges=(charge(1, "key:7|n"),))])
        assert reconcile() == {}
        move_on()
        assert reconcile() == {}
    sums = dict(ChargedSum.objects.values_list("counter", "amount"))
    assert sums == {"tenant|tokens": 60, "key:7|n": 6}


def test_a_counter_that_is_missing_is_made_from_sums_and_new_rows():
    append_usage([charged(1, 8)])
    move_on()
    append_usage([charged(2, 5)])
    QuotaUsage.objects.all().delete()
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert reconcile(since=since) == {"tenant|tokens": (13, 0)}
    assert QuotaUsage.objects.get().used == 13


@contextmanager
def row_committed_late():
    """It is written, with the next number, when the block begins, and committed when it ends."""
    is_written, may_commit = threading.Event(), threading.Event()

    def write_slowly():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                append_within(cursor, [charged(1, 8)])
                is_written.set()
                assert may_commit.wait(60)
        finally:
            connection.close()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    try:
        assert is_written.wait(60)
        yield
    finally:
        may_commit.set()
        slow.join()


def ensure_both_are_summed():
    move_on()
    assert dict(ChargedSum.objects.values_list("tenant_id", "amount")) == {1: 8, 2: 5}
    assert find_counter_drift(now=NOW) == []
    assert reconcile() == {}


def test_a_row_that_is_committed_late_below_others_is_not_missed():
    """Its number is drawn first, and it is committed after a later one was seen twice."""
    with row_committed_late():
        append_usage([charged(2, 5, tenant_id=2)])
        for _ in range(3):
            reconcile()
        assert checkpoint().through_id == 0
    ensure_both_are_summed()


def test_a_late_row_of_the_newest_transaction_is_not_missed():
    """Its number is above that of every transaction that has ended."""
    with ExitStack() as late:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            late.enter_context(row_committed_late())
            append_within(cursor, [charged(2, 5, tenant_id=2)])
        for _ in range(3):
            reconcile()
        assert checkpoint().through_id == 0
    ensure_both_are_summed()


def test_rows_up_to_the_checkpoint_are_not_read_again():
    append_usage([charged(number, 1) for number in range(50)])
    move_on()
    with CaptureQueriesContext(connection) as asked:
        raise_counters(now=NOW)
    (statement,) = [each["sql"] for each in asked.captured_queries if "FULL JOIN" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT TEXT) " + statement)
        plan = "\n".join(line for (line,) in cursor)
    assert f"id > '{checkpoint().through_id}'" in plan or f"id > {checkpoint().through_id}" in plan


def test_sums_of_windows_that_are_over_are_forgotten():
    append_usage([charged(1, 8)])
    move_on()
    append_usage([charged(2, 8)])
    move_on(OVER)
    assert not ChargedSum.objects.exists()


def test_a_server_restored_from_a_copy_goes_on():
    """The transactions of the server before have ended with it."""
    append_usage([charged(1, 8)])
    reconcile()
    LedgerCheckpoint.objects.update(writers=["99/1"])
    append_usage([charged(2, 5)])
    move_on()
    assert ChargedSum.objects.get().amount == 13


def test_drift_is_counted_where_the_console_can_tell_it(client):
    append_usage([charged(1, 8)])
    before = client.get("/metrics").content.decode()
    assert 'tenantry_ledger_drift_total{kind="counter"} 0.0' in before

    lower(1)
    assert reconcile_job.reconcile_counters(now=NOW) == 1

    after = client.get("/metrics").content.decode()
    assert 'tenantry_ledger_drift_total{kind="counter"} 1.0' in after
    assert 'tenantry_tenants_left_total{job="reconcile"} 0.0' in after


def test_one_tenants_drift_is_not_anothers(caplog):
    append_usage([charged(1, 8), charged(2, 5, tenant_id=2)])
    lower(1, tenant_id=2)
    with every_tenant():
        assert reconcile_job.reconcile_counters(now=NOW) == 1
    assert "drift repaired (sums=1, tenant_id=2" in caplog.text
    assert WINDOW in str(QuotaUsage.objects.get(tenant_id=2))
