"""MCP servers: real ones of both eras, and some that hang or lie."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import Budget, CallContext, RunProgress, ToolSpec
from agents.runtime.tools.mcp.calling import McpTools
from agents.runtime.tools.mcp.settings import McpSettings
from agents.runtime.tools.settings import WrongSettings
from agents.runtime.tools.toolbox import KindToolbox
from agents.schema.loop_events import ToolEnded, ToolStarted
from kernel.egress.client import EgressFailed
from kernel.egress.rules import TargetRefused
from tests.fakes.legacy_mcp import LegacyMcp
from tests.fakes.loop_ports import Stage, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says
from tests.fakes.tool_server import ToolServer, tool_server
from tests.fixtures.servers.ports import free_port

SECRET = "s3cr3t-credential"
PROGRAM = Path(__file__).resolve().parents[3] / "fakes" / "mcp_program.py"


@pytest.fixture(scope="module")
def warehouse():
    """A server of the library in a process of its own; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield ToolServer(port=port)
    finally:
        process.kill()
        process.wait()


def wait_for(port, process):
    for _ in range(400):
        assert process.poll() is None, "the server did not start"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@pytest.fixture
async def server():
    async with tool_server() as server:
        yield server


def box_of(server, tool, *, credential="", seconds=20.0, allow=("127.0.0.1",), host="127.0.0.1"):
    spec = ToolSpec(
        name=tool,
        kind="mcp",
        settings={"url": server.url("/mcp", host=host), "tool": tool},
        credential=credential,
        timeout_seconds=seconds,
    )
    box = KindToolbox([spec], {"mcp": McpTools(server.egress(allow=allow))})
    box.specs = {tool: spec}
    return box


async def call(server, tool="stock", arguments=None, **given):
    box = box_of(server, tool, **given)
    budget = Budget(RunLimits(), RunProgress(), clock=time.monotonic)
    return await box.call(box.find(tool), arguments or {}, CallContext(budget=budget))


async def listed(server, **given):
    tools = McpTools(server.egress())
    url = server.url("/mcp", host="127.0.0.1")
    return await tools.list_tools(McpSettings(url=url, tool="-"), credential="", **given)


@pytest.mark.slow
async def test_a_tool_of_a_real_server_is_called(warehouse):
    result = await call(warehouse, "stock", {"item": "bolts", "count": 3})

    assert (result.text, result.is_error) == ("21 bolts", False)


async def test_the_tools_of_a_real_server_are_listed(warehouse):
    found = {tool.name: tool for tool in await listed(warehouse)}

    assert set(found) == {"stock", "fail", "sleep", "weigh"}
    assert found["stock"].description == "How many of an item are there."
    assert found["stock"].schema["required"] == ["item"]
    assert found["stock"].settings["tool"] == "stock"


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("fail", {}, "Error executing tool fail"),
        ("stock", {"item": 1, "count": "x"}, "validation error"),
        ("gone", {}, "gone"),
    ],
)
async def test_an_error_of_the_server_is_told(warehouse, tool, arguments, text):
    try:
        result = await call(warehouse, tool, arguments)
    except EgressFailed as error:
        said = error.message
    else:
        assert result.is_error
        said = result.text

    assert text in said


async def test_structured_content_is_read(warehouse):
    assert "2.5" in (await call(warehouse, "weigh")).text


def staged(box, *turns):
    play = Stage(ScriptedModel(*turns))
    play.tools = box
    return play


async def test_a_call_that_hangs_is_an_error_in_time(warehouse):
    box = box_of(warehouse, "sleep", seconds=0.5)
    play = staged(box, calls(("sleep", {"seconds": 600})), says("Sorry"))

    ended = await play.run()

    assert (ended.state, play.told(ToolEnded)[0].is_error) == ("completed", True)
    assert outputs(ended)[0].startswith("Error: ")


async def test_a_call_is_cancelled_while_the_server_works(warehouse):
    # Both are beyond the timeout of the test: only the cancellation can end the call.
    box = box_of(warehouse, "sleep", seconds=600)
    play = staged(box, calls(("sleep", {"seconds": 600})))
    task = asyncio.create_task(play.run())
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert play.told(ToolStarted)
    assert not play.told(ToolEnded)


@pytest.mark.parametrize("in_events", [False, True])
async def test_a_server_of_the_older_handshake_is_spoken_to(server, in_events):
    old = LegacyMcp(in_events=in_events)
    server.answers["/mcp"] = old.handle

    result = await call(server, "stock", {"item": "nuts"})

    assert result.text == "old stock of {'item': 'nuts'}"
    assert old.methods[:2] == ["server/discover", "initialize"]
    assert old.methods[-1] == "DELETE"
    assert [tool.name for tool in await listed(server)] == ["stock"]


DOT = "aGk="


async def test_the_model_sees_the_image_that_a_tool_gave(server):
    content = [
        {"type": "text", "text": "a dot\x00"},
        {"type": "image", "data": DOT, "mimeType": "image/png"},
    ]
    server.answers["/mcp"] = LegacyMcp(lies={"tools/call": {"result": {"content": content}}}).handle
    play = staged(box_of(server, "stock"), calls("stock"), says("A dot"))

    ended = await play.run()

    (message,) = [each for each in play.model.asked[1].messages if each.role == "tool"]
    text, image = message.content
    assert (ended.state, text.text) == ("completed", "a dot\ufffd")
    assert image.image_url.url == f"data:image/png;base64,{DOT}"


LIES = {
    "a page": {"initialize": web.Response(text="<html>", content_type="text/html")},
    "no JSON": {"tools/call": web.Response(text="{", content_type="application/json")},
    "an array": {"tools/call": web.Response(text="[1]", content_type="application/json")},
    "another shape": {"tools/call": {"result": {"content": "text"}}},
    "unknown content": {"tools/call": {"result": {"content": [{"type": "hologram"}]}}},
    "no result": {"tools/call": {}},
    "a foreign version": {
        "initialize": {
            "result": {
                "protocolVersion": "1999-01-01",
                "capabilities": {},
                "serverInfo": {"name": "x", "version": "1"},
            }
        }
    },
    "a wrong status": {"tools/call": web.Response(status=500)},
    "not found": {"tools/call": web.Response(status=404)},
    "empty": {"tools/call": web.Response(text="", content_type="application/json")},
    "events without end": {
        "tools/call": web.Response(text="data: {\n\n", content_type="text/event-stream")
    },
    "no bytes of text": {
        "tools/call": web.Response(body=b"\xff\xfe", content_type="application/json")
    },
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
async def test_a_server_that_lies_is_an_error_in_time(server, lies):
    async def handle(request):
        return await LegacyMcp(lies=lies).handle(request)

    server.answers["/mcp"] = handle
    play = staged(box_of(server, "stock", seconds=1.0), calls("stock"), says("Sorry"))

    ended = await play.run()

    assert ended.state == "completed"
    assert outputs(ended)[0].startswith("Error: ")


async def test_a_server_that_says_nothing_is_an_error_in_time(server):
    async def hang(request):
        await asyncio.sleep(60)

    server.answers["/mcp"] = hang
    play = staged(box_of(server, "stock", seconds=0.5), calls("stock"), says("Sorry"))

    ended = await play.run()

    assert outputs(ended)[0].startswith("Error: ")


async def test_an_endless_answer_is_an_error(server):
    big = "x" * 5 * 1024 * 1024
    lies = {"tools/call": {"result": {"content": [{"type": "text", "text": big}]}}}
    server.answers["/mcp"] = LegacyMcp(lies=lies).handle

    with pytest.raises(EgressFailed, match="too long"):
        await call(server)


async def test_nothing_is_asked_inside(server):
    with pytest.raises(TargetRefused):
        await call(server, allow=())
    with pytest.raises(TargetRefused):
        await call(server, allow=(), host="localhost")

    assert server.seen == []


async def test_a_redirect_inside_is_refused(server):
    server.answers["/mcp"] = web.Response(
        status=307, headers={"location": "http://169.254.169.254/latest"}
    )

    with pytest.raises(TargetRefused):
        await call(server)


async def test_the_credential_is_sent_and_never_told(server, caplog):
    async def handler(request):
        lies = {
            "tools/call": {"result": {"content": [{"type": "text", "text": str(request.headers)}]}}
        }
        return await LegacyMcp(lies=lies).handle(request)

    server.answers["/mcp"] = handler
    play = staged(box_of(server, "stock", credential=SECRET), calls("stock"), says("Done"))

    with caplog.at_level(logging.DEBUG):
        ended = await play.run()

    assert all(SECRET in str(headers) for _, _, headers, _ in server.seen)
    assert SECRET not in f"{ended} {play.facts} {play.model.asked} {caplog.text}"
    assert "[credential]" in outputs(ended)[0]


async def test_a_credential_of_two_lines_is_not_sent(server):
    with pytest.raises(WrongSettings) as caught:
        await McpTools(server.egress()).list_tools(
            McpSettings(url=server.url("/mcp"), tool="-"), credential=SECRET + "\nx"
        )

    assert SECRET not in str(caught.value)


async def test_without_the_library_the_model_is_told(server, monkeypatch):
    monkeypatch.setattr("agents.runtime.tools.mcp.calling.is_installed", lambda: False)

    result = await call(server)

    assert result.is_error
    assert "not installed" in result.text
