"""The events of a run as server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agents.doors.call import Call
from agents.doors.event_sink import EventSink
from agents.doors.rendering import error_event
from agents.events.event import Event
from kernel.asgi import ClientWatch
from kernel.errors import PlatformError

DONE = b"data: [DONE]\n\n"

Events = AsyncGenerator[Sequence[Event]]


async def stream_events(call: Call, sink: EventSink, follow: Events, client: ClientWatch) -> None:
    """Send events as they come, and the end. A failure before the first chooses its status."""
    call.gateway.watch.join(sink)
    try:
        async with aclosing(follow):
            async for events in follow:
                await sink.send(b"".join(event.as_sse for event in events))
        client.dismiss()
        call.waited = call.elapsed()
        await sink.end(DONE)
    except PlatformError as error:
        if sink.started:
            await sink.end(error_event(error))
        raise
    finally:
        call.gateway.watch.leave(sink)
