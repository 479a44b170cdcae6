"""Calls an agent over MCP: one run of it in this worker, which ends if the client leaves."""

import asyncio
from contextlib import aclosing

import msgspec

from agents.doors.base.call import Call
from agents.doors.base.referenced_input import read_whole_input
from agents.doors.http.completion_chunks import EndFrame
from agents.doors.http.create_response import ResponseBody, TextOptions, as_create_run
from agents.doors.http.mcp.offers import NAME, Offer
from agents.doors.http.mcp.outcome import CallOutcome
from agents.events.event import Event
from agents.events.responses_names import with_responses_names
from agents.runtime.execution.ports import RunHandle
from agents.runtime.tools.agent_settings import MESSAGE_SCHEMA
from agents.schema.items import Message
from agents.schema.json_types import Json
from agents.schema.run_request import RunRequest
from tenants.admission.principal import Principal

RESPONSE_ID = "tenantry/response_id"


async def call_agent(
    call: Call, principal: Principal, offer: Offer, arguments: Json
) -> CallOutcome:
    """Run the agent, and return its answer. Raises the errors of a run (protocols.md, "Errors").

    The arguments match the offer's schema.
    """
    with with_responses_names():
        run = await call.gateway.runner.start(
            principal, await request_of(call, principal, offer, arguments)
        )
        call.route = run.route
        call.upstream_seconds = None
        try:
            last = await follow(call, run)
        except asyncio.CancelledError:
            run.on_client_disconnect()
            raise
        finally:
            call.upstream_seconds = call.elapsed()
    if run.error is not None:
        raise run.error
    return outcome_of(run, offer, last)


async def request_of(call: Call, principal: Principal, offer: Offer, arguments: Json) -> RunRequest:
    has_message = offer.input_schema is MESSAGE_SCHEMA
    text = str(arguments["message"]) if has_message else msgspec.json.encode(arguments).decode()
    items = await read_whole_input(text, tenant_id=principal.tenant_id, runs=call.gateway.runs)
    form = TextOptions(format=offer.response_format) if offer.response_format else None
    body = ResponseBody(model=offer.name, input=[], text=form)
    return as_create_run(body, items=items, door=NAME, busy="reject", survives_disconnect=False)


async def follow(call: Call, run: RunHandle) -> Event:
    """Wait for the run to start, and return its last event, or the one that pauses it."""
    started = await asyncio.shield(run.started)
    events = call.gateway.runner.follow(run.principal.tenant_id, started.run_id)
    last: Event | None = None
    async with aclosing(events) as each:
        async for some in each:
            last = some[-1]
            if last.is_pause:
                break
    assert last is not None, "every log has a last event"
    return last


def outcome_of(run: RunHandle, offer: Offer, last: Event) -> CallOutcome:
    """Return the text of the last message; an error if the run did not complete."""
    texts = [item.text for item in run.output if isinstance(item, Message)]
    text, meta = texts[-1] if texts else "", {RESPONSE_ID: run.id}
    if last.is_pause:
        reason = (
            f"The agent waits for an approval. A person decides in the console; then "
            f"GET /v1/responses/{run.id} has the answer."
        )
        return CallOutcome(text=reason, is_error=True, meta=meta)
    response = msgspec.json.decode(last.data, type=EndFrame).response
    if response.status != "completed":
        reason = (response.incomplete_details or {}).get("reason", response.status)
        return CallOutcome(
            text=f"The agent did not finish ({reason}). {text}".strip(), is_error=True, meta=meta
        )
    if offer.output_schema is None:
        return CallOutcome(text=text, meta=meta)
    return structured_outcome(text, meta)


def structured_outcome(text: str, meta: dict[str, str]) -> CallOutcome:
    """Return a text that is a JSON object also as an object. Clients apply the schema to it."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        problem = f"The agent's answer does not match its output schema. It is: {text}"
        return CallOutcome(text=problem, is_error=True, meta=meta)
    return CallOutcome(text=text, structured=value, meta=meta)
