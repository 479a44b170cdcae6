"""What the ledger's rows take from counters, and add to hours: once, and told truly."""

from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection, transaction

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.usage.writer import RecordRefused
from tenants.errors import LimitsUnavailable
from tenants.ledger import append_usage, load_counters
from tenants.models import QuotaUsage, UsageEvent, UsageHour
from tenants.scoping import tenant_scope
from tenants.services import create_tenant, issue_key
from tests.fixtures.limits.usage import WINDOW, charge, charged, record

TOKENS = ("tenant|tokens", WINDOW)
pytestmark = pytest.mark.usefixtures("db", "seen_by_all")


def state(**facts):
    usual = {"tenant_id": 1, "counter": "tenant|tokens", "window": WINDOW}
    return CounterState(**{**usual, **facts})


def test_a_batch_charges_each_counter_once():
    appended = append_usage([charged(1, 8), charged(2, 5)])

    assert appended.states == (state(used=13, version=1),)
    assert load_counters(1, [TOKENS]) == [state(used=13, version=1)]


def test_each_batch_raises_the_version():
    append_usage([charged(1, 8)])

    assert append_usage([charged(2, 5)]).states == (state(used=13, version=2),)


def test_a_counter_ends_with_its_window():
    append_usage([charged(1, 8)])

    assert QuotaUsage.objects.get().ends_at == datetime(2026, 2, 1, tzinfo=UTC)


def test_tenants_are_counted_apart():
    append_usage([charged(1, 8, tenant_id=1), charged(2, 5, tenant_id=2)])

    assert load_counters(2, [TOKENS]) == [state(tenant_id=2, used=5, version=1)]


def test_windows_are_counted_apart():
    february = "1769904000-1772323200"
    append_usage([record(1, charges=(charge(8), charge(5, window=february)))])

    both = load_counters(1, [TOKENS, ("tenant|tokens", february)])

    assert [each.used for each in both] == [8, 5]


def test_what_is_repeated_is_charged_once_and_the_truth_is_told_again():
    append_usage([charged(1, 8)])

    again = append_usage([charged(1, 8)])

    assert (again.new, again.states) == (0, (state(used=8, version=1),))


def test_of_a_batch_with_repeats_only_the_new_is_charged():
    append_usage([charged(1, 8)])

    appended = append_usage([charged(1, 8), charged(2, 5), charged(2, 5)])

    assert (appended.new, appended.states) == (1, (state(used=13, version=2),))


def test_a_charge_of_nothing_leaves_the_version():
    append_usage([charged(1, 8)])

    assert append_usage([charged(2, 0)]).states == (state(used=8, version=1),)


def test_a_counter_that_never_counted_is_at_version_zero():
    assert load_counters(1, [TOKENS]) == [state(used=0, granted=0, version=0)]


def test_what_was_granted_is_told_with_what_was_used():
    append_usage([charged(1, 8)])
    QuotaUsage.objects.update(granted=100, version=7)

    assert load_counters(1, [TOKENS]) == [state(used=8, granted=100, version=7)]


def test_counters_come_in_the_order_asked_for():
    append_usage([record(1, charges=(charge(8), charge(5, "key:2|tokens")))])

    asked = [TOKENS, ("key:2|tokens", WINDOW), ("nobody|tokens", WINDOW)]

    assert [each.used for each in load_counters(1, asked)] == [8, 5, 0]


def test_while_the_database_is_away_counters_are_unavailable(monkeypatch):
    def away():
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        with pytest.raises(LimitsUnavailable):
            load_counters(1, [TOKENS])


WRONG = {
    "a negative charge": charge(-1),
    "no window": charge(1, window="january"),
    "a window without end": charge(1, window="1767225600"),
    "a window beyond all time": charge(1, window="1-99999999999999999"),
    "a counter without end": charge(1, "x" * 301),
    "more than fits": charge(2**63),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_charge_is_refused_and_nothing_of_its_batch_is_written(case):
    with pytest.raises(RecordRefused), transaction.atomic():
        append_usage([charged(1, 8), record(2, charges=(WRONG[case],))])

    assert not UsageEvent.objects.exists()
    assert not QuotaUsage.objects.exists()
    assert not UsageHour.objects.exists()


def test_an_hour_adds_up_what_began_in_it():
    append_usage(
        [
            record(1, started_at="2026-01-02T03:00:00+00:00", cached_tokens=2, cost_micro=7),
            record(2, started_at="2026-01-02T03:59:59+00:00", status="failed"),
            record(3, started_at="2026-01-02T04:00:00+00:00"),
        ]
    )

    first, second = UsageHour.objects.order_by("hour")
    assert (first.hour, first.requests, first.failed) == (datetime(2026, 1, 2, 3, tzinfo=UTC), 2, 1)
    assert (first.prompt_tokens, first.completion_tokens) == (6, 10)
    assert (first.cached_tokens, first.cost_micro, second.requests) == (2, 7, 1)


def test_an_hour_is_one_of_utc_wherever_a_record_names_its_time():
    append_usage([record(1, started_at="2026-01-02T05:30:00+05:30")])

    assert UsageHour.objects.get().hour == datetime(2026, 1, 2, 0, tzinfo=UTC)


def test_hours_are_apart_by_who_and_what():
    facts = [{}, {"api_key_id": 2}, {"member_id": 3}, {"agent": "a"}, {"route": "b"}, {"door": "c"}]

    append_usage([record(number, **each) for number, each in enumerate(facts)])

    assert UsageHour.objects.count() == len(facts)


def test_hours_go_on_with_every_batch():
    append_usage([record(1)])
    append_usage([record(1), record(2)])

    assert UsageHour.objects.get().requests == 2


def test_each_tenant_sees_its_own_hours_and_counters():
    append_usage([charged(1, 8, tenant_id=1), charged(2, 5, tenant_id=2)])

    with tenant_scope(2):
        assert QuotaUsage.objects.get().used == 5
        assert UsageHour.objects.get().requests == 1


def test_a_deleted_tenants_usage_is_still_counted():
    tenant = create_tenant(slug="acme", name="Acme")
    key = issue_key(tenant=tenant, name="ci").key
    number = tenant.pk
    tenant.delete()

    appended = append_usage([charged(1, 8, tenant_id=number, api_key_id=key.pk)])

    assert (appended.new, appended.states[0].used) == (1, 8)
