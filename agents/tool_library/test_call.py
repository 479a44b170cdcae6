"""One call of a tool by a person: made as a run makes it, timed, and noted in the audit log."""

import asyncio
import time
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from agents.models import Tool
from agents.runtime.loop.ports import Budget, CallContext, ExecutableCall, Progress
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
from kernel.storage.database import let_go_of_database

NO_AGENTS = "Another agent answers within a run only: ask the agent that hands over to it."
CALL = "trial"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTestCall:
    """What came of a call."""

    output: str
    """As the model would read it, without the credential."""
    is_error: bool
    seconds: float

    @property
    def took(self) -> str:
        """0.4 ms, 120 ms, 1.52 s"""
        if self.seconds >= 1:
            return f"{self.seconds:.2f} s"
        milliseconds = self.seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"  # noqa: PLR2004


def try_tool(*, tool: Tool, arguments: str) -> ToolTestCall:
    """Call `tool` with the JSON object `arguments`, which may have effects like any other call.

    Takes at most as long as the tool may. A tool that is off, or needs an approval, is called
    too: a person asks. Raises ValidationError for arguments that the tool does not take, and for
    a kind that only runs can call; then nothing was called.
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
    # Before it is made: it may have effects, whatever becomes of this process. Names only, for
    # what is said in a call can be erased elsewhere, and not here.
    note_use(tool, act="test call", detail=f"with {named}")
    let_go_of_database()
    trial = asyncio.run(carry_out(ready))
    outcome = "failed" if trial.is_error else "answered"
    note_use(tool, act="test call", detail=f"{outcome} after {trial.took}")
    return trial


async def carry_out(ready: ExecutableCall) -> ToolTestCall:
    if ready.tool.kind == "mcp":
        # The import of the library is no part of the call's time.
        await load_library()
    ended: list[ToolEnded] = []

    async def listen(fact: LoopEvent) -> None:
        if isinstance(fact, ToolEnded):
            ended.append(fact)

    carrier = ToolExecutor(
        KindToolbox([ready.tool], local_tool_handlers(configured_egress())),
        tell=listen,
        context=CallContext(budget=Budget(USUAL_LIMITS, Progress(), clock=time.monotonic)),
        clock=time.monotonic,
    )
    # The tool's own limit ends it first.
    outputs = await carrier.carry_out([ready], seconds=ready.tool.timeout_seconds + 5)
    fact = ended[0]
    return ToolTestCall(output=outputs[CALL].text, is_error=fact.is_error, seconds=fact.seconds)
