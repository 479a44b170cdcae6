"""`POST /v1/responses`: a run over REST, as a whole, as a stream, or in the background."""

from contextlib import aclosing

import msgspec

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.open_run import OpenRun, open_run
from agents.doors.base.referenced_input import read_whole_input
from agents.doors.base.response_stream import stream_events
from agents.doors.http.create_response import RestBody, as_create_run, ensure_honoured
from agents.events.own_names import in_own_names
from inference.relay.schema import parse
from tenants.admission.principal import Principal

NAME = "responses"


class LastFrame(msgspec.Struct):
    """The last event of a run, of which a whole answer is the response."""

    response: msgspec.Raw


async def create_response(call: Call) -> None:
    """Parse, start a run, and tell of it."""
    principal = await call.authenticate("chat")
    body = parse(await call.body(), RestBody)
    ensure_honoured(body)
    with in_own_names():
        await answer(call, principal, body)


async def answer(call: Call, principal: Principal, body: RestBody) -> None:
    """Answer with the run's events, with what it is now, or with what it came to."""
    # Who may read the answer later may leave now: streams name it in their first event.
    is_found_again = body.store is not False and bool(body.stream)
    goes_on = bool(body.background) or is_found_again
    items = await read_whole_input(
        body.input, tenant_id=principal.tenant_id, runs=call.gateway.runs
    )
    create = as_create_run(body, items=items, door=NAME, busy="reject", goes_on=goes_on)
    async with open_run(call, principal, create, runner=call.gateway.runner) as opened:
        if body.stream:
            sink = EventSink(call, client=opened.client)
            await stream_events(call, sink, opened.events())
        elif create.background and not opened.started.joined:
            await call.respond_json(opened.run.response("in_progress"))
        else:
            await send_whole(call, opened)


async def send_whole(call: Call, opened: OpenRun) -> None:
    """Wait for the end. A run that failed is answered with its error."""
    last = None
    async with aclosing(opened.events()) as follow:
        async for events in follow:
            last = events[-1]
            if last.is_pause:
                # Nobody waits on a connection for people: it says `approval_required`.
                break
    opened.ensure_success()
    assert last is not None, "a log has an end"
    await call.respond(bytes(msgspec.json.decode(last.data, type=LastFrame).response))
