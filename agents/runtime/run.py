"""One run: a message in, numbered events out, and exactly one terminal event.

The full run model (queues, resuming, several devices) grows from here.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from agents.events.responses import Frame, ResponseEvents
from agents.runtime.metering import Meter
from agents.runtime.model_turn import model_turn
from inference.relay.journey import Journey
from inference.relay.opener import Opener
from inference.relay.parameters import ChatRequest
from kernel.errors import PlatformError

LIMITS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons for which an answer is incomplete, as Open Responses names them."""

Tell = Callable[[list[Frame]], Awaitable[None]]


async def run_turn(
    relay: Opener,
    journey: Journey,
    request: ChatRequest,
    *,
    meter: Meter,
    events: ResponseEvents,
    tell: Tell,
) -> None:
    """Ask the model once and tell what happens, up to the terminal event.

    A failure is told as `response.failed` and then raised. A cancelled run has no terminal event
    yet: whoever cancelled it knows why, and tells.
    """
    await tell(events.created())
    finish_reason = None
    try:
        async with aclosing(model_turn(relay, journey, request, meter)) as turn:
            async for said in turn:
                finish_reason = said.finish_reason or finish_reason
                if said.text:
                    await tell(events.delta(said.text))
    except PlatformError as error:
        await tell(events.failed(error, now=int(time.time())))
        raise
    now, usage = int(time.time()), meter.usage()
    if finish_reason in LIMITS:
        await tell(events.incomplete(usage, reason=LIMITS[finish_reason], now=now))
    else:
        await tell(events.completed(usage, now=now))
