"""MCP servers of `tests/cases/mcp`: what is listed, what a call gives, what the server hears."""

import asyncio
import json
import time
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from agents.runtime.loop.ports import Budget, CallContext, RunLimits, RunProgress, ToolSpec
from agents.runtime.tools.mcp.calling import McpTools, load_library
from agents.runtime.tools.mcp.settings import McpSettings
from agents.runtime.tools.toolbox import KindToolbox
from kernel.egress.client import EgressFailed
from tests.fakes.scripted_mcp import ScriptedMcp
from tests.fakes.tool_server import tool_server

CASES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[3] / "cases" / "mcp").glob("*.json"))
}
SECONDS = 15.0
"""Of a call, where a case says nothing else: on a slow machine, too."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_server_is_understood(case):
    await load_library()
    fake = ScriptedMcp(case["server"])
    async with tool_server() as server:
        server.answers["/mcp"] = fake.handle
        tools = McpTools(server.egress())
        url = server.url("/mcp", host="127.0.0.1")
        if "list" in case:
            await ensure_listed(tools, url, case)
        for call in case.get("calls", ()):
            await ensure_called(tools, url, call, case.get("credential", ""))
        await ensure_heard(fake, case.get("hears", {}))


async def ensure_listed(tools, url, case):
    expected = case["list"]
    listing = tools.find_tools(
        McpSettings(url=url, tool="-"), credential=case.get("credential", "")
    )
    if "refused" in expected:
        with pytest.raises(EgressFailed, match=expected["refused"]):
            await listing
        return
    found = await listing
    assert [tool.name for tool in found.tools] == expected["tools"]
    skipped = {one.name: one.reason for one in found.skipped}
    assert set(skipped) == set(expected.get("skipped", {}))
    for name, word in expected.get("skipped", {}).items():
        assert word in skipped[name]
    notes = {tool.name: " ".join(tool.notes) for tool in found.tools if tool.notes}
    assert set(notes) == set(expected.get("notes", {}))


async def ensure_called(tools, url, call, credential):
    spec = ToolSpec(
        name="t",
        kind="mcp",
        schema=call.get("schema", {"type": "object"}),
        settings={"url": url, "tool": call.get("tool", "stock")},
        credential=credential,
        timeout_seconds=call.get("seconds", SECONDS),
    )
    box = KindToolbox([spec], {"mcp": tools})
    context = CallContext(budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic))
    calling = box.call(spec, call.get("arguments", {}), context)
    if "refused" in call:
        with pytest.raises(EgressFailed, match=call["refused"]):
            await calling
        return
    result = await calling
    assert call.get("text", result.text) == result.text
    assert call.get("holds", "") in result.text
    assert result.is_error is call.get("is_error", False)
    parts = [part.__struct_config__.tag for part in result.parts]
    assert parts == call.get("parts", [])


async def ensure_heard(fake, expected):
    for name, value in expected.items():
        if name == "headers":
            for method, headers in value.items():
                assert headers.items() <= fake.headers[method].items()
        elif name == "cancelled":
            await wait_until(lambda: len(fake.cancelled) == expected["cancelled"])
        else:
            assert getattr(fake, name) == value


async def wait_until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
