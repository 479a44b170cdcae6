"""Metering: every admitted request is settled once, for what it used."""

import asyncio

import msgspec
import pytest

from agents.runtime.model.metering import Meter, RunCancelled, ledger_status
from inference.errors import UpstreamBroken
from inference.fleet.endpoint_state import CandidateSet, EndpointState
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.route_trace import RouteTrace
from inference.relay.sse import SseBuffer
from kernel.asgi import ClientLeft
from kernel.errors import NotFound
from tenants.admission.usage.records import Usage
from tests.fixtures.limits.gate import DEMAND, running_gate

SEEN = Usage(prompt_tokens=3, completion_tokens=2)
CHUNK = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
COUNTED = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
UNREADABLE = b'data: {"usage":{"prompt_tokens":"\xff"}}\n\n'

VERDICTS = [
    (None, ("completed", "")),
    (ClientLeft(), ("client_left", "")),
    (RunCancelled(), ("cancelled", "")),
    (UpstreamBroken(), ("failed", "upstream_broken")),
    (NotFound(), ("failed", "not_found")),
    (asyncio.CancelledError(), ("failed", "interrupted")),
    (ZeroDivisionError(), ("failed", "interrupted")),
]


@pytest.mark.parametrize(("error", "expected"), VERDICTS)
def test_the_ledger_says_how_a_request_ended(error, expected):
    assert ledger_status(error) == expected


@pytest.fixture
async def running():
    async with running_gate() as made:
        yield made


@pytest.fixture
async def records(running):
    return running.truth.records


@pytest.fixture
def demand():
    return DEMAND


@pytest.fixture
async def meter(running, demand):
    """A meter of a request that is to be sent to an engine."""
    admission = await running.admit(demand=demand)
    trace = RouteTrace(Pool(name="p", engine="vllm"))
    made = Meter(running.gate, admission, route_trace=trace)
    made.trace = trace
    made.writer = running.writer
    return made


def send(meter):
    candidate = EndpointState(Endpoint(id="e", address="http://e", model="m"))
    meter.trace.record_choice(candidate, CandidateSet([candidate]))


def end(meter, error=None):
    """End the metered block."""
    meter.__enter__()
    meter.__exit__(type(error) if error else None, error, None)


async def written(meter, records):
    await meter.writer.flush()
    (record,) = records
    return record.prompt_tokens, record.completion_tokens, record.estimated


def stream_of(*blocks):
    stream = SseBuffer(keep_usage=True)
    for block in blocks:
        stream.feed(block)
    return stream


@pytest.mark.parametrize("error", [error for error, _ in VERDICTS])
async def test_each_end_is_written_once(meter, records, error):
    end(meter, error)
    await meter.writer.flush()

    assert [record.status for record in records] == [ledger_status(error)[0]]


async def test_the_engines_own_numbers_count(meter, records):
    send(meter)
    meter.record_usage(SEEN)
    end(meter)

    assert await written(meter, records) == (3, 2, False)


async def test_an_answer_without_usage_is_estimated(meter, records):
    send(meter)
    meter.record_usage(None)
    end(meter)

    assert await written(meter, records) == (3, 0, True)


@pytest.mark.parametrize("error", [None, ClientLeft(), RunCancelled(), UpstreamBroken()])
async def test_a_stream_is_paid_for_as_the_engine_counted_it(meter, records, error):
    send(meter)
    meter.attach_stream(stream_of(CHUNK, COUNTED))
    meter.first_token()
    end(meter, error)

    assert await written(meter, records) == (3, 2, False)


@pytest.mark.parametrize("error", [None, ClientLeft(), RunCancelled(), UpstreamBroken()])
async def test_a_stream_without_usage_is_estimated_from_its_chunks(meter, records, error):
    send(meter)
    meter.attach_stream(stream_of(CHUNK * 4))
    meter.first_token()
    end(meter, error)

    assert await written(meter, records) == (3, 4, True)


async def test_a_usage_that_cannot_be_read_is_written_all_the_same(meter, records):
    send(meter)
    meter.attach_stream(stream_of(CHUNK, UNREADABLE))
    meter.first_token()
    end(meter)

    assert (await written(meter, records))[2]


@pytest.mark.parametrize("demand", [msgspec.structs.replace(DEMAND, streams=True)])
@pytest.mark.parametrize("error", [ClientLeft(), RunCancelled()])
async def test_who_stops_a_working_engine_pays_for_the_prompt(meter, records, error):
    send(meter)
    end(meter, error)

    assert await written(meter, records) == (3, 0, True)


@pytest.mark.parametrize("demand", [msgspec.structs.replace(DEMAND, max_completion_tokens=50)])
async def test_who_stops_a_whole_answer_pays_for_what_was_made_by_then(meter, records):
    send(meter)
    meter.trace.waited = -1000.0  # as if it had begun long ago
    end(meter, ClientLeft())

    assert await written(meter, records) == (3, 50, True)


async def test_a_whole_answer_without_usage_is_estimated_by_its_text(meter, records):
    meter.record_usage(None, tokens=40)
    end(meter)

    assert await written(meter, records) == (3, 40, True)


@pytest.mark.parametrize("error", [ClientLeft(), RunCancelled(), UpstreamBroken()])
async def test_a_request_that_reached_no_engine_costs_nothing(meter, records, error):
    end(meter, error)

    assert await written(meter, records) == (0, 0, False)


async def test_an_engine_that_fails_before_its_first_token_is_not_paid(meter, records):
    send(meter)
    end(meter, UpstreamBroken())

    assert await written(meter, records) == (0, 0, False)


async def test_only_the_first_token_is_timed(meter, records):
    meter.first_token()
    first = meter._ttft
    await asyncio.sleep(0.01)
    meter.first_token()

    assert meter._ttft == first


async def test_an_error_leaves_the_block(meter):
    with pytest.raises(ZeroDivisionError), meter:
        _ = 1 / 0


async def test_the_record_says_where_the_request_went(meter, records):
    send(meter)
    end(meter)
    await meter.writer.flush()

    assert (records[0].pool, records[0].endpoint, records[0].route) == ("p", "e", "tiny")
