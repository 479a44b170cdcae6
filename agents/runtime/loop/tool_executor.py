"""Executes tool calls in parallel, each with its timeout. The model reads why a call failed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agents.runtime.loop.ports import CallContext, Clock, ExecutableCall, Toolbox, ToolResult
from agents.runtime.loop.tool_output import storable, truncate
from agents.schema.items import InputText, OutputPart
from agents.schema.loop_events import EmitEvent, ToolEnded, ToolStarted
from kernel.errors import PlatformError

CANCEL_TIMEOUT_SECONDS = 0.8
"""Timeout for the end of a cancelled tool call: cancelling a run takes at most a second."""


class ToolExecutor:
    """Executes the tool calls of one run."""

    def __init__(
        self, tools: Toolbox, *, emit: EmitEvent, context: CallContext, clock: Clock
    ) -> None:
        self._tools = tools
        self._emit = emit
        self._context = context
        self._clock = clock
        self._emit_lock = asyncio.Lock()

    async def execute(
        self, ready: Sequence[ExecutableCall], *, seconds: float
    ) -> dict[str, ToolResult]:
        """Return the results by call id, without calls that take longer than `seconds`."""
        if not ready:
            return {}
        for each in ready:
            call, kind = each.call, each.tool.kind
            await self._emit(ToolStarted(call_id=call.call_id, name=call.name, kind=kind))
        tasks = {each.call.call_id: asyncio.create_task(self._call(each)) for each in ready}
        try:
            await asyncio.wait(tasks.values(), timeout=seconds)
        finally:
            late = {task for task in tasks.values() if not task.done()}
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CANCEL_TIMEOUT_SECONDS)
            for task in late:
                # Retrieve the exception, which is not used any more.
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
        # Events are emitted one at a time, but tools end in any order.
        async with self._emit_lock:
            await self._emit(ended)
        text = truncate(storable(f"Error: {result.text}" if result.is_error else result.text))
        return replace(result, text=text, parts=tuple(storable_part(part) for part in result.parts))

    async def _result_of(self, each: ExecutableCall) -> ToolResult:
        seconds = each.tool.timeout_seconds
        context = replace(self._context, call=f"{self._context.call}/{each.call.call_id}")
        try:
            async with asyncio.timeout(seconds):
                return await self._tools.call(each.tool, each.arguments, context)
        except TimeoutError:
            return ToolResult(text=f"The tool took longer than {seconds:g} s.", is_error=True)
        except PlatformError as error:
            return ToolResult(text=error.message, is_error=True)


def storable_part(part: OutputPart) -> OutputPart:
    """Return a part without characters that cannot be stored, truncated for the model."""
    return InputText(text=truncate(storable(part.text))) if isinstance(part, InputText) else part
