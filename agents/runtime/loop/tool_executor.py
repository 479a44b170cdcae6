"""Carries out tool calls side by side, each within its time. If one fails, the model reads why."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agents.runtime.loop.ports import CallContext, Clock, ExecutableCall, Toolbox, ToolResult
from agents.runtime.loop.tool_output import storable, truncate
from agents.schema.items import InputText, OutputPart
from agents.schema.loop_events import EmitEvent, ToolEnded, ToolStarted
from kernel.errors import PlatformError

GRACE_SECONDS = 0.8
"""For which a cancelled tool is waited for: cancelling a run takes a second at most."""


class ToolExecutor:
    """Calls the tools of one run."""

    def __init__(
        self, tools: Toolbox, *, tell: EmitEvent, context: CallContext, clock: Clock
    ) -> None:
        self._tools = tools
        self._tell = tell
        self._context = context
        self._clock = clock
        self._telling = asyncio.Lock()

    async def carry_out(
        self, ready: Sequence[ExecutableCall], *, seconds: float
    ) -> dict[str, ToolResult]:
        """Outputs by call id. Calls that took longer than `seconds` together are not among them."""
        if not ready:
            return {}
        for each in ready:
            call, kind = each.call, each.tool.kind
            await self._tell(ToolStarted(call_id=call.call_id, name=call.name, kind=kind))
        tasks = {each.call.call_id: asyncio.create_task(self._call(each)) for each in ready}
        try:
            await asyncio.wait(tasks.values(), timeout=seconds)
        finally:
            late = {task for task in tasks.values() if not task.done()}
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=GRACE_SECONDS)
            for task in late:
                # Nobody reads any more how they ended.
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return {call_id: task.result() for call_id, task in tasks.items() if task not in late}

    async def _call(self, each: ExecutableCall) -> ToolResult:
        started = self._clock()
        result = await self._result_of(each)
        ended = ToolEnded(
            call_id=each.call.call_id,
            name=each.call.name,
            kind=each.tool.kind,
            is_error=result.is_error,
            seconds=self._clock() - started,
        )
        # Facts are told one at a time, and tools end when they like.
        async with self._telling:
            await self._tell(ended)
        text = truncate(storable(f"Error: {result.text}" if result.is_error else result.text))
        return replace(result, text=text, parts=tuple(kept_part(part) for part in result.parts))

    async def _result_of(self, each: ExecutableCall) -> ToolResult:
        seconds = each.tool.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._tools.call(each.tool, each.arguments, self._context)
        except TimeoutError:
            return ToolResult(text=f"The tool took longer than {seconds:g} s.", is_error=True)
        except PlatformError as error:
            return ToolResult(text=error.message, is_error=True)


def kept_part(part: OutputPart) -> OutputPart:
    """A part as it can be stored, and is not too long for the model."""
    return InputText(text=truncate(storable(part.text))) if isinstance(part, InputText) else part
