"""Calls a tenant's tool over MCP, outside of a run. It is admitted as a request without tokens."""

import asyncio
import time

import msgspec

from agents.doors.base.call import Call
from agents.doors.http.mcp.offers import NAME
from agents.doors.http.mcp.outcome import CallOutcome
from agents.runtime.loop.null_ports import discard_event
from agents.runtime.loop.ports import Budget, CallContext, ExecutableCall, RunProgress, ToolResult
from agents.runtime.loop.tool_executor import ToolExecutor
from agents.runtime.model.token_estimate import NO_DEMAND
from agents.runtime.tools.toolbox import KindToolbox
from agents.schema.items import FunctionCall
from agents.schema.json_types import Json
from agents.schema.run_limits import USUAL_LIMITS
from agents.schema.tool_spec import ToolSpec
from kernel.ids import new_id
from tenants.admission.gate import COMPLETED, AdmissionOutcome, Subject
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

EXTRA_SECONDS = 5.0
"""The tool's own timeout ends a call first."""
LATE = ToolResult(text="The tool did not end in time.", is_error=True)


async def call_tool(
    call: Call, principal: Principal, tool: ToolSpec, arguments: Json
) -> CallOutcome:
    """Call the tool within the limits of requests. Raises the errors of admission.

    The arguments match the tool's schema.
    """
    gate = call.gateway.gate
    subject = Subject(
        principal=principal,
        door=NAME,
        route="",
        client_request_id=call.client_request_id,
        free=True,
    )
    admission = await gate.admit(subject, NO_DEMAND, request_id=call.request_id)
    call.limit_headers = list(admission.headers())
    call.upstream_seconds = None
    status = "failed"
    try:
        result = await execute(call, tool, arguments)
        status = "failed" if result.is_error else COMPLETED
    except asyncio.CancelledError:
        status = "client_left"
        raise
    finally:
        call.upstream_seconds = call.elapsed()
        decision = {"tool": tool.name}
        gate.settle(admission, AdmissionOutcome(usage=Usage(), status=status, decision=decision))
    return CallOutcome(text=result.text, is_error=result.is_error, parts=result.parts)


async def execute(call: Call, tool: ToolSpec, arguments: Json) -> ToolResult:
    call_id = new_id("call")
    budget = Budget(USUAL_LIMITS, RunProgress(), clock=time.monotonic)
    executor = ToolExecutor(
        KindToolbox([tool], call.gateway.tool_handlers),
        emit=discard_event,
        context=CallContext(budget=budget),
        clock=time.monotonic,
    )
    ready = ExecutableCall(
        call=FunctionCall(
            id=call_id,
            call_id=call_id,
            name=tool.name,
            arguments=msgspec.json.encode(arguments).decode(),
        ),
        tool=tool,
        arguments=arguments,
    )
    results = await executor.execute([ready], seconds=tool.timeout_seconds + EXTRA_SECONDS)
    return results.get(call_id, LATE)
