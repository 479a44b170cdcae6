"""Calls a tool for a test as runs do, measures the time, and writes to the audit log."""

import asyncio
import time
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from agents.models import Tool
from agents.runtime.loop.ports import Budget, CallContext, ExecutableCall, RunProgress
from agents.runtime.loop.tool_arguments import WrongArguments, read_arguments
from agents.runtime.loop.tool_executor import ToolExecutor
from agents.runtime.tools.local_kinds import local_tool_handlers
from agents.runtime.tools.mcp.calling import load_library
from agents.runtime.tools.toolbox import KindToolbox
from agents.schema.items import FunctionCall
from agents.schema.loop_events import LoopEvent, ToolEnded
from agents.schema.run_limits import USUAL_LIMITS
from agents.tool_library.store import load_spec
from kernel.audit import note_use
from kernel.egress.client import configured_egress
from kernel.storage.database import close_database_connection

NO_AGENTS = (
    "A handoff works only within a run. Test it with a request to the agent that has this tool."
)
CALL = "trial"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTestCall:
    """The result of a test call."""

    output: str
    """The output for the model, without the credential."""
    is_error: bool
    seconds: float

    @property
    def took(self) -> str:
        """The duration for display: `0.4 ms`, `120 ms`, `1.52 s`."""
        if self.seconds >= 1:
            return f"{self.seconds:.2f} s"
        milliseconds = self.seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"  # noqa: PLR2004


def call_tool(*, tool: Tool, arguments: str) -> ToolTestCall:
    """Call `tool` with the JSON object `arguments`. The call may have side effects.

    The timeout is that of the tool. Disabled tools and tools that need approval are called, too,
    because a person requests it. Raises ValidationError before the call for invalid arguments, and
    for a kind that only runs can call.
    """
    if tool.kind == "agent":
        raise ValidationError(NO_AGENTS)
    spec = load_spec(tool)
    try:
        ready = ExecutableCall(
            call=FunctionCall(id=CALL, call_id=CALL, name=tool.name, arguments=arguments),
            tool=spec,
            arguments=read_arguments(arguments, spec.schema),
        )
    except WrongArguments as error:
        raise ValidationError({"arguments": str(error)}) from error
    named = ", ".join(sorted(ready.arguments)) or "nothing"
    # Logged before the call, because it may have side effects even if this process dies. Only names
    # of arguments: the audit log cannot be erased, so it must not have content.
    note_use(tool, act="test call", detail=f"with {named}")
    close_database_connection()
    trial = asyncio.run(execute(ready))
    outcome = "failed" if trial.is_error else "answered"
    note_use(tool, act="test call", detail=f"{outcome} after {trial.took}")
    return trial


async def execute(ready: ExecutableCall) -> ToolTestCall:
    if ready.tool.kind == "mcp":
        # Import the library first, so that the import does not count as time of the call.
        await load_library()
    ended: list[ToolEnded] = []

    async def listen(fact: LoopEvent) -> None:
        if isinstance(fact, ToolEnded):
            ended.append(fact)

    executor = ToolExecutor(
        KindToolbox([ready.tool], local_tool_handlers(configured_egress())),
        emit=listen,
        context=CallContext(budget=Budget(USUAL_LIMITS, RunProgress(), clock=time.monotonic)),
        clock=time.monotonic,
    )
    # The tool's own timeout ends the call first.
    outputs = await executor.execute([ready], seconds=ready.tool.timeout_seconds + 5)
    fact = ended[0]
    return ToolTestCall(output=outputs[CALL].text, is_error=fact.is_error, seconds=fact.seconds)
