"""The loop against an engine that streams over HTTP, in the manners of several engines."""

import asyncio
from contextlib import aclosing

import pytest

from agents.runtime.catalog.model_lookup import find_model
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import start_route
from agents.runtime.model.stream import stream_completion
from agents.runtime.model.subject import subject_of
from agents.runtime.model.token_estimate import chat_demand
from inference.errors import UpstreamBroken
from kernel.ids import new_request_id
from tests.fakes.loop_ports import Stage, kinds, outputs
from tests.fakes.model_server import Behaviour, Fault, UsageForm
from tests.fakes.script import CallStyle
from tests.fixtures.gateway import ledger

pytestmark = pytest.mark.usefixtures("tiny")

ADDS = (
    {"text": "Let me see.", "calls": [{"name": "add", "arguments": {"a": 20, "b": 22}}]},
    "It is 42.",
)


async def add(arguments):
    await asyncio.sleep(0)
    return str(arguments["a"] + arguments["b"])


def ask_through(gateway, member):
    """Asks the way that a run does: admitted, relayed, metered, settled, each time."""

    async def ask(request):
        parts = gateway.worker.gateway
        principal = await parts.keyring.authenticate(member.key)
        target = await find_model(
            "tiny", purpose="chat", principal=principal, catalog=parts.catalog, fleet=parts.fleet
        )
        admission = await parts.gate.admit(
            subject_of(target, principal=principal, door="test"),
            chat_demand(request, target.route),
            request_id=new_request_id(),
        )
        route_trace = start_route(target.route, admission, request=request)
        with Meter(parts.gate, admission, route_trace=route_trace) as meter:
            async with aclosing(
                stream_completion(parts.relay, route_trace, request, meter)
            ) as turn:
                async for said in turn:
                    yield said

    return ask


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
@pytest.mark.parametrize("style", CallStyle)
async def test_a_tool_is_called_however_an_engine_streams_it(gateway, acme, engine, style, finish):
    engine.behave(Behaviour(script=ADDS, call_style=style, calls_finish=finish))
    play = Stage(ask_through(gateway, acme), add)

    ended = await play.run()

    assert outputs(ended) == ["42"]
    assert kinds(ended) == ["message", "function_call", "function_call_output", "message"]
    assert ended.items[-1].text == "It is 42."


@pytest.mark.parametrize("cuts", [{"splits_utf8": True}, {"crlf": True}])
async def test_however_the_bytes_are_cut(gateway, acme, engine, cuts):
    script = ([{"name": "echo", "arguments": '{"x": "é€😀"}'}], "Gut, für dich: €")
    engine.behave(Behaviour(script=script, **cuts))

    async def echo(arguments):
        return arguments["x"]

    ended = await Stage(ask_through(gateway, acme), echo).run()

    assert (outputs(ended), ended.items[-1].text) == (["é€😀"], "Gut, für dich: €")


async def test_the_engine_is_asked_with_the_tools_and_what_they_said(gateway, acme, engine):
    engine.behave(Behaviour(script=ADDS))

    await Stage(ask_through(gateway, acme), add).run()

    first, second = (record.body for record in engine.records)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"a": 20, "b": 22}'


async def test_every_step_is_billed_as_the_engine_counted(gateway, acme, engine):
    engine.behave(Behaviour(script=ADDS))

    ended = await Stage(ask_through(gateway, acme), add).run()

    rows = await ledger(rows=2)
    sent = [record.usage_written for record in engine.records]
    assert [row.completion_tokens for row in rows] == [u["completion_tokens"] for u in sent]
    assert ended.progress.tokens == sum(usage["total_tokens"] for usage in sent)


async def test_an_engine_that_tells_no_usage_is_estimated(gateway, acme, engine):
    engine.behave(Behaviour(usage=UsageForm.ABSENT))

    ended = await Stage(ask_through(gateway, acme)).run()

    (row,) = await ledger()
    assert row.estimated
    assert ended.progress.completion_tokens == row.completion_tokens > 0


async def test_an_engine_that_breaks_in_a_later_step_leaves_the_first_one_saved(
    gateway, acme, engine
):
    engine.behave(
        Behaviour(script=ADDS),
        Behaviour(script=ADDS, fault=Fault.DIES_AFTER, after_chunks=1),
    )
    play = Stage(ask_through(gateway, acme), add)

    with pytest.raises(UpstreamBroken):
        await play.run()

    assert [len(items) for _, items in play.saves] == [3]
    assert {row.status for row in await ledger(rows=2)} == {"completed", "failed"}
