"""One turn of a model: what it says and calls, piece by piece, as values instead of bytes."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from agents.runtime.chunks import AnswerReader
from agents.runtime.journeys import encode_for
from agents.runtime.metering import Meter
from agents.runtime.ports import Said
from inference.relay.event_stream import EventStream
from inference.relay.journey import Journey
from inference.relay.opener import Opener
from inference.relay.parameters import ChatRequest
from inference.relay.upstream import Path

PATH: Final[Path] = "/v1/chat/completions"


async def model_turn(
    relay: Opener, journey: Journey, request: ChatRequest, meter: Meter
) -> AsyncGenerator[Said]:
    """Ask the model and yield what it says; pieces that arrive together are one.

    The last piece has the usage, estimated if the engine told none.

    Raises UpstreamBroken if the engine stops before it is done, and what `relay` raises.
    """
    encode = partial(encode_for, journey, request)
    async with await relay.open(journey, PATH, encode) as exchange:
        stream, reader = EventStream(keep_usage=True), AnswerReader()
        meter.streams(stream)
        await exchange.ensure_success(content_type="text/event-stream")
        while True:
            block = await exchange.read_block(stream)
            if stream.events:
                meter.first_token()
            if block:
                yield reader.read(block)
            if stream.finished:
                await exchange.finish()
                yield reader.rest()
                yield Said(usage=meter.usage())
                return
            if meter.cramped and not await meter.make_room():
                yield reader.rest()
                # Leaving the exchange unfinished makes the engine stop.
                yield Said(finish_reason="length", usage=meter.usage())
                return
