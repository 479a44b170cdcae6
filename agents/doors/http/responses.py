"""`POST /v1/responses`: a response as a whole, as a stream, or in the background."""

from contextlib import aclosing

import msgspec

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.open_run import OpenRun, open_run
from agents.doors.base.referenced_input import read_whole_input
from agents.doors.base.response_stream import stream_events
from agents.doors.http.create_response import RestBody, as_create_run, ensure_supported
from agents.events.responses_names import with_responses_names
from agents.events.stored_response import response_of_record
from agents.schema.run_request import RunRequest
from inference.relay.schema import parse
from kernel.asgi import ClientWatch
from tenants.admission.principal import Principal

NAME = "responses"


class RawLastFrame(msgspec.Struct):
    """The last event of a run, which contains the whole response."""

    response: msgspec.Raw


async def create_response(call: Call) -> None:
    """Parse the request, start a run, and respond."""
    principal = await call.authenticate("chat")
    body = parse(await call.body(), RestBody)
    ensure_supported(body)
    with with_responses_names():
        await answer(call, principal, body)


async def answer(call: Call, principal: Principal, body: RestBody) -> None:
    """Respond with the run's events, its current state, or its result."""
    # A client that knows the id can read the response later. Streams have it in the first event.
    is_found_again = body.store is not False and bool(body.stream)
    survives = bool(body.background) or is_found_again
    items = await read_whole_input(
        body.input, tenant_id=principal.tenant_id, runs=call.gateway.runs
    )
    create = as_create_run(
        body, items=items, door=NAME, busy="reject", survives_disconnect=survives
    )
    if create.background and await call.gateway.run_queue.accepts(principal, create.model):
        await send_to_nodes(call, principal, create, stream=bool(body.stream))
        return
    async with open_run(call, principal, create, runner=call.gateway.runner) as opened:
        if body.stream:
            sink = EventSink(call, client=opened.client)
            await stream_events(call, sink, opened.events())
        elif create.background and not opened.started.joined:
            await call.respond_json(opened.run.response("in_progress"))
        else:
            await send_whole(call, opened)


async def send_to_nodes(
    call: Call, principal: Principal, create: RunRequest, *, stream: bool
) -> None:
    """Queue a background run for an agent node; respond with its events or its state."""
    runner, tenant_id = call.gateway.runner, principal.tenant_id
    queued = await call.gateway.run_queue.send(principal, create)
    if stream:
        client = ClientWatch(call.receive)
        async with client:
            sink = EventSink(call, client=client)
            await stream_events(call, sink, runner.follow(tenant_id, queued.run_id))
    elif queued.joined:
        record = await call.gateway.runs.load(tenant_id, queued.run_id)
        await call.respond_json(response_of_record(record))
    else:
        await call.respond_json(queued.response)


async def send_whole(call: Call, opened: OpenRun) -> None:
    """Wait for the end and send the response, or the error of a failed run."""
    last = None
    async with aclosing(opened.events()) as follow:
        async for events in follow:
            last = events[-1]
            if last.is_pause:
                # A connection does not wait for an approval: the response is `approval_required`.
                break
    opened.ensure_success()
    assert last is not None, "every log has a last event"
    await call.respond(bytes(msgspec.json.decode(last.data, type=RawLastFrame).response))
