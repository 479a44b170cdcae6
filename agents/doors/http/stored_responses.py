"""`/v1/responses/{id}`: read, stream, cancel and delete a response, and list its input."""

import asyncio
import re

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.paging import integer_parameter, query_parameters
from agents.doors.base.response_stream import stream_events
from agents.events.stored_response import response_of_record
from agents.schema.items import client_json
from kernel.asgi import ClientWatch
from kernel.errors import InvalidParameter, NotFound

ADDRESS = re.compile(r"\A/v1/responses/(?P<id>[A-Za-z0-9_]{1,40})(?:/[a-z_]+)?/?\Z")
TRUE = ("true", "1")
CANCEL_POLLS = 20
CANCEL_POLL_SECONDS = 0.05
MAX_ITEMS = 100


def response_id(call: Call) -> str:
    """Return the id in the path. Raises NotFound if it cannot be an id."""
    match = ADDRESS.match(call.scope["path"])
    if match is None:
        raise NotFound("There is no such response here.", param="response_id")
    return match["id"]


async def show_response(call: Call) -> None:
    """Respond with the response or, if `stream=true`, its events after `starting_after`."""
    principal = await call.authenticate("chat")
    run_id, parameters = response_id(call), query_parameters(call.scope)
    if parameters.get("stream") in TRUE:
        after = integer_parameter(
            parameters.get("starting_after"),
            name="starting_after",
            default=-1,
            min_value=0,
            max_value=10**9,
        )
        client = ClientWatch(call.receive)
        async with client:
            sink = EventSink(call, client=client)
            follow = call.gateway.runner.follow(principal.tenant_id, run_id, after=after)
            await stream_events(call, sink, follow)
        return
    known = await call.gateway.runs.load(principal.tenant_id, run_id)
    if not known.store:
        raise NotFound("There is no such response here.", param="response_id")
    await call.respond_json(response_of_record(known))


async def cancel_response(call: Call) -> None:
    """Cancel a response on any worker and respond with its result. Has no effect after its end."""
    principal = await call.authenticate("chat")
    run_id = response_id(call)
    known = await call.gateway.runner.cancel(principal.tenant_id, run_id)
    for _ in range(CANCEL_POLLS):
        if known.is_over:
            break
        await asyncio.sleep(CANCEL_POLL_SECONDS)
        known = await call.gateway.runs.load(principal.tenant_id, run_id)
    await call.respond_json(response_of_record(known))


async def delete_response(call: Call) -> None:
    """Delete a response and its events. Its items stay in the conversation."""
    principal = await call.authenticate("chat")
    run_id = response_id(call)
    await call.gateway.runs.delete(principal.tenant_id, run_id)
    await call.gateway.runner.forget_log(run_id)
    await call.respond_json({"id": run_id, "object": "response", "deleted": True})


async def list_input_items(call: Call) -> None:
    """List the input items. They are there once the response has ended."""
    principal = await call.authenticate("chat")
    run_id, parameters = response_id(call), query_parameters(call.scope)
    if parameters.get("order", "desc") not in ("asc", "desc"):
        raise InvalidParameter("`order` is `asc` or `desc`.", param="order")
    page = await call.gateway.runs.load_input(
        principal.tenant_id,
        run_id,
        after=parameters.get("after"),
        limit=integer_parameter(
            parameters.get("limit"), name="limit", default=20, min_value=1, max_value=MAX_ITEMS
        ),
        newest_first=parameters.get("order", "desc") == "desc",
    )
    data = [client_json(item) for item in page.items]
    ids = [item["id"] for item in data]
    await call.respond_json(
        {
            "object": "list",
            "data": data,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "has_more": page.has_more,
        }
    )
