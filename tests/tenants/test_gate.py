"""The gate: what is admitted is settled, and what is settled is one record."""

import pytest

from tenants.admission.gate import Gate, Outcome, Subject
from tenants.admission.ledger import Appended, LedgerFull, LedgerWriter
from tenants.admission.usage import Usage
from tests.fixtures.principals import principal


@pytest.fixture
async def records():
    return []


@pytest.fixture
async def writer(records):
    async def append(batch):
        records.extend(batch)
        return Appended(new=len(batch))

    return LedgerWriter(append)


def subject(**facts) -> Subject:
    caller = principal(tenant_id=7, key_id=8, member_id=9)
    return Subject(**{"principal": caller, "door": "chat", "route": "tiny", **facts})


async def settled(writer, outcome, **facts):
    gate = Gate(writer)
    gate.settle(await gate.admit(subject(**facts), request_id="req_1"), outcome)
    await writer.flush()


async def test_settling_writes_exactly_one_record(writer, records):
    usage = Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2, estimated=True)

    await settled(writer, Outcome(usage=usage, status="completed"), agent="a", agent_revision=5)

    (record,) = records
    assert (record.request_id, record.kind, record.status) == ("req_1", "final", "completed")
    assert (record.tenant_id, record.api_key_id, record.member_id) == (7, 8, 9)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (3, 4, 2)
    assert (record.agent, record.agent_revision, record.estimated) == ("a", 5, True)


async def test_times_are_in_milliseconds_and_in_order(writer, records):
    await settled(writer, Outcome(usage=Usage(), status="failed", ttft=0.0123456))

    (record,) = records
    assert record.ttft_ms == 12.346
    assert 0 <= record.duration_ms < 1000
    assert record.started_at <= record.ended_at


async def test_without_a_first_token_there_is_no_time_to_it(writer, records):
    await settled(writer, Outcome(usage=Usage(), status="failed", error_code="upstream_failed"))

    assert (records[0].ttft_ms, records[0].error_code) == (None, "upstream_failed")


async def test_admitting_writes_nothing(writer, records):
    await Gate(writer).admit(subject())
    await writer.flush()

    assert records == []


async def test_each_admission_has_an_id_of_its_own(writer):
    gate = Gate(writer)

    ids = {(await gate.admit(subject())).request_id for _ in range(50)}

    assert len(ids) == 50


async def test_nothing_is_admitted_that_could_not_be_recorded(writer):
    writer._most_pending = 1
    gate = Gate(writer)
    gate.settle(await gate.admit(subject()), Outcome(usage=Usage(), status="completed"))

    with pytest.raises(LedgerFull):
        await gate.admit(subject())
