"""The events of a run as server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.events.event import Event

DONE = b"data: [DONE]\n\n"

Events = AsyncGenerator[Sequence[Event]]


async def stream_events(call: Call, sink: EventSink, follow: Events) -> None:
    """Send events and the end. An error before the first event determines the status."""
    call.upstream_seconds = None
    async with sink:
        async with aclosing(follow):
            async for events in follow:
                await sink.send(b"".join(event.as_sse for event in events))
        call.upstream_seconds = call.elapsed()
        await sink.end(DONE)
