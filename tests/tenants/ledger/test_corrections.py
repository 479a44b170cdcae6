"""Requests whose worker died, and what happens when it comes back."""

import pytest

from tenants.ledger import append_usage, bill_abandoned, load_counters
from tenants.models import UsageEvent, UsageHour
from tests.fixtures.limits.usage import WINDOW, charge, charged, record

pytestmark = pytest.mark.usefixtures("db", "seen_by_all")


def used():
    return load_counters(1, [("tenant|tokens", WINDOW)])[0].used


def kinds():
    return list(UsageEvent.objects.order_by("pk").values_list("kind", flat=True))


def test_an_orphan_is_billed_once():
    assert bill_abandoned([charged(1, 8)]).new == 1
    assert bill_abandoned([charged(1, 8)]).new == 0

    assert (kinds(), used()) == (["abandoned"], 8)


def test_nothing_is_billed_where_a_final_row_is():
    append_usage([charged(1, 8)])

    billed = bill_abandoned([charged(1, 5)])

    assert (billed.new, billed.states[0].used, kinds()) == (0, 8, ["final"])


@pytest.mark.parametrize(("final", "difference"), [(20, 12), (3, -5), (8, 0)])
def test_a_final_record_corrects_what_was_billed(final, difference):
    bill_abandoned([charged(1, 8, completion_tokens=8)])

    append_usage([charged(1, final, completion_tokens=final)])

    correction = UsageEvent.objects.get(kind="correction")
    assert correction.completion_tokens == difference
    assert correction.charges == [
        {"counter": "tenant|tokens", "window": WINDOW, "amount": difference}
    ]
    assert used() == final


def test_a_correction_happens_once():
    bill_abandoned([charged(1, 8)])
    append_usage([charged(1, 20)])

    assert append_usage([charged(1, 20)]).new == 0
    assert append_usage([charged(1, 50)]).new == 0
    assert (kinds(), used()) == (["abandoned", "correction"], 20)


def test_a_correction_changes_the_hours_tokens_and_is_no_request():
    bill_abandoned([record(1, prompt_tokens=100, cost_micro=50)])

    append_usage([record(1, prompt_tokens=70, cost_micro=60, status="failed")])

    hour = UsageHour.objects.get()
    assert (hour.requests, hour.failed, hour.prompt_tokens, hour.cost_micro) == (1, 0, 70, 60)


def test_a_correction_counts_where_the_bill_counted():
    bill_abandoned([record(1, route="tiny", api_key_id=4, started_at="2026-01-02T03:59:59Z")])

    append_usage([record(1, route="tiny", api_key_id=5, started_at="2026-01-02T04:00:00Z")])

    assert UsageHour.objects.get().api_key_id == 4


def test_a_counter_that_only_the_bill_charged_is_given_back():
    bill_abandoned([record(1, charges=(charge(8, "key:1|tokens"),))])

    appended = append_usage([charged(1, 5)])

    assert {each.counter: each.used for each in appended.states} == {
        "key:1|tokens": 0,
        "tenant|tokens": 5,
    }


@pytest.mark.parametrize("reverse", [False, True])
def test_bill_and_final_record_in_one_batch_are_the_final_one(reverse):
    batch = [charged(1, 8, kind="abandoned"), charged(1, 20)]

    append_usage(batch[::-1] if reverse else batch)

    assert (kinds(), used()) == (["final"], 20)


def test_corrections_of_others_do_not_mix():
    bill_abandoned([charged(1, 8), charged(2, 9)])

    append_usage([charged(2, 10), charged(3, 1), charged(1, 10)])

    assert sorted(kinds()) == ["abandoned", "abandoned", "correction", "correction", "final"]
    assert used() == 21
