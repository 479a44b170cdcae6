"""Connections to MCP servers: who shares one, and what becomes of it when a run is cancelled."""

import asyncio
import time

import pytest

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from agents.runtime.loop.ports import Budget, CallContext, RunLimits, RunProgress, ToolSpec
from agents.runtime.tools.mcp.calling import McpTools, load_library
from agents.runtime.tools.toolbox import KindToolbox
from kernel.egress.client import EgressFailed
from tests.fakes.scripted_mcp import ScriptedMcp
from tests.fakes.tool_server import tool_server

ACME, RIVAL = 1, 2
SECRET = "s3cr3t-credential"


@pytest.fixture
async def server():
    await load_library()
    async with tool_server() as server:
        yield server


def play(server, **script):
    fake = ScriptedMcp(script)
    server.answers["/mcp"] = fake.handle
    return fake


async def call(tools, server, *, tenant=ACME, credential="", seconds=15.0):
    spec = ToolSpec(
        name="t",
        kind="mcp",
        schema={"type": "object"},
        settings={"url": server.url("/mcp", host="127.0.0.1"), "tool": "stock"},
        credential=credential,
        timeout_seconds=seconds,
        tenant_id=tenant,
    )
    context = CallContext(budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic))
    return await KindToolbox([spec], {"mcp": tools}).call(spec, {}, context)


@pytest.mark.parametrize(
    ("second", "connections"),
    [
        ({"tenant": ACME, "credential": SECRET}, 1),
        ({"tenant": RIVAL, "credential": SECRET}, 2),
        ({"tenant": ACME, "credential": "another"}, 2),
        ({"tenant": ACME, "credential": ""}, 2),
    ],
)
async def test_a_connection_is_for_one_tenant_and_one_credential(server, second, connections):
    fake = play(server)
    tools = McpTools(server.egress())

    await call(tools, server, tenant=ACME, credential=SECRET)
    await call(tools, server, **second)

    assert fake.methods.count("initialize") == connections
    assert fake.methods.count("tools/call") == 2


async def test_calls_side_by_side_have_sessions_of_their_own_where_the_server_keeps_state(server):
    fake = play(server, session=True)
    tools = McpTools(server.egress())

    await asyncio.gather(*[call(tools, server) for _ in range(3)])

    assert (fake.methods.count("initialize"), fake.methods.count("DELETE")) == (3, 3)


@pytest.mark.parametrize("session", [True, False])
async def test_the_server_is_told_of_a_cancelled_call_at_once(server, session):
    fake = play(server, session=session, answers={"tools/call": {"sleep": 60}})
    task = asyncio.create_task(call(McpTools(server.egress()), server))
    await wait_until(lambda: "tools/call" in fake.methods)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    await wait_until(lambda: fake.cancelled)


async def test_a_modern_server_hears_of_a_cancelled_call_by_the_end_of_its_connection(server):
    play(server, era="2026-07-28", answers={"tools/call": {"sleep": 60}})
    task = asyncio.create_task(call(McpTools(server.egress()), server))
    await wait_until(lambda: len(server.seen) >= 2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    await wait_until(lambda: server.left)


async def test_after_a_failure_the_next_call_begins_anew(server):
    fake = play(server, answers={"tools/call": [{"status": 500}, {"result": {"content": []}}]})
    tools = McpTools(server.egress())

    with pytest.raises(Exception, match="HTTP 500"):
        await call(tools, server)

    assert not (await call(tools, server)).is_error
    assert fake.methods.count("tools/call") == 2


BREAKS = {
    "no answer": {"hang_up": True},
    "too long": {"result": {"content": [{"type": "text", "text": "x" * 5_000_000}]}},
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
async def test_a_call_that_fails_does_not_cost_another_one_on_the_same_connection(server, broken):
    slow = {"sleep": 2, "result": {"content": [{"type": "text", "text": "slow"}]}}
    fake = play(server, answers={"tools/call": [{"result": {"content": []}}, slow, broken]})
    tools = McpTools(server.egress())
    await call(tools, server)
    first = asyncio.create_task(call(tools, server))
    await wait_until(lambda: fake.methods.count("tools/call") == 2)

    with pytest.raises(EgressFailed, match=r"failed|too long"):
        await call(tools, server)

    assert (await first).text == "slow"
    assert fake.methods.count("initialize") == 1


async def test_a_connection_that_nobody_uses_is_closed(server, monkeypatch):
    monkeypatch.setattr("agents.runtime.tools.mcp.sessions.IDLE_SECONDS", 0.2)
    fake = play(server)
    tools = McpTools(server.egress())
    before = asyncio.all_tasks()

    await call(tools, server)
    await wait_until(lambda: asyncio.all_tasks() <= before)
    await call(tools, server)

    assert fake.methods.count("initialize") == 2


async def test_a_credential_in_a_part_beside_an_image_is_not_shown(server):
    image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    content = [{"type": "text", "text": f"you sent {SECRET}"}, image]
    play(server, answers={"tools/call": {"result": {"content": content}}})

    result = await call(McpTools(server.egress()), server, credential=SECRET)

    assert SECRET not in f"{result}"
    assert [part.__struct_config__.tag for part in result.parts] == ["input_text", "input_image"]


async def wait_until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
