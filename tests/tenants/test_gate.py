"""The gate: what is admitted is settled, and what is settled is one record."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tenants.admission.gate import AdmissionOutcome
from tenants.admission.limits.price import Price
from tenants.admission.limits.rules import TenantLimits
from tenants.admission.usage.records import Usage
from tenants.admission.usage.writer import LedgerFull
from tenants.windows import Calendar, window_of_id
from tests.fixtures.limits.checks import quota
from tests.fixtures.limits.gate import running_gate


@pytest.fixture
async def running():
    async with running_gate() as made:
        yield made


@pytest.fixture
async def records(running):
    return running.truth.records


async def settled(running, outcome, **facts):
    running.gate.settle(await running.admit(request_id="req_1", **facts), outcome)
    await running.writer.flush()


async def test_settling_writes_exactly_one_record(running, records):
    usage = Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2, estimated=True)

    await settled(
        running, AdmissionOutcome(usage=usage, status="completed"), agent="a", agent_revision=5
    )

    (record,) = records
    assert (record.request_id, record.kind, record.status) == ("req_1", "final", "completed")
    assert (record.tenant_id, record.api_key_id, record.member_id) == (7, 8, 9)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (3, 4, 2)
    assert (record.agent, record.agent_revision, record.estimated) == ("a", 5, True)


async def test_times_are_in_milliseconds_and_in_order(running, records):
    await settled(running, AdmissionOutcome(usage=Usage(), status="failed", ttft=0.0123456))

    (record,) = records
    assert record.ttft_ms == 12.346
    assert record.duration_ms >= 0
    assert record.started_at <= record.ended_at


async def test_without_a_first_token_there_is_no_time_to_it(running, records):
    await settled(
        running, AdmissionOutcome(usage=Usage(), status="failed", error_code="upstream_failed")
    )

    assert (records[0].ttft_ms, records[0].error_code) == (None, "upstream_failed")


async def test_what_it_cost_is_worked_out_from_the_routes_price(running, records):
    usage = Usage(prompt_tokens=10, completion_tokens=4, cached_tokens=5)
    price = Price(prompt=1_000_000, cached=100_000, completion=2_000_000)

    await settled(running, AdmissionOutcome(usage=usage, status="completed"), price=price)

    assert records[0].cost_micro == 5 + 1 + 8


async def test_admitting_writes_nothing(running, records):
    await running.admit()
    await running.writer.flush()

    assert records == []


async def test_each_admission_has_an_id_of_its_own(running):
    ids = {(await running.admit()).request_id for _ in range(50)}

    assert len(ids) == 50


async def test_nothing_is_admitted_that_could_not_be_recorded():
    async with running_gate(max_pending=1) as running:
        outcome = AdmissionOutcome(usage=Usage(), status="completed")
        running.gate.settle(await running.admit(), outcome)

        with pytest.raises(LedgerFull):
            await running.admit()


async def test_a_settled_request_holds_nothing(running):
    admissions = await asyncio.gather(*(running.admit() for _ in range(20)))
    assert len(running.holds) == 20

    for admission in admissions:
        running.gate.settle(admission, AdmissionOutcome(usage=Usage(), status="completed"))
    await running.writer.flush()

    assert len(running.holds) == 0


@pytest.mark.parametrize("wrong_by", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=40)])
async def test_a_wrong_clock_of_this_machine_charges_the_right_window(running, records, wrong_by):
    now = datetime.now(UTC)
    rule = quota(limit=1000, unit="requests", calendar=Calendar(period="hour"))
    running.limits[7] = TenantLimits(tenant_id=7, quotas=(rule,))

    with time_machine.travel(now + wrong_by):
        await settled(running, AdmissionOutcome(usage=Usage(prompt_tokens=1), status="completed"))

    (charge,) = records[0].charges
    assert now in window_of_id(charge.window) or datetime.now(UTC) in window_of_id(charge.window)
