"""One turn of a model: what it says and calls, piece by piece, as values instead of bytes."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from agents.runtime.loop.ports import ModelDelta
from agents.runtime.model.chunks import AnswerReader
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import encode_request
from inference.relay.opener import ExchangeOpener
from inference.relay.route_trace import RouteTrace
from inference.relay.schema import ChatRequest
from inference.relay.sse import SseBuffer
from inference.relay.upstream import Path

PATH: Final[Path] = "/v1/chat/completions"


async def stream_completion(
    relay: ExchangeOpener, route_trace: RouteTrace, request: ChatRequest, meter: Meter
) -> AsyncGenerator[ModelDelta]:
    """Ask the model and yield what it says; pieces that arrive together are one.

    The last piece has the usage, estimated if the engine told none.

    Raises UpstreamBroken if the engine stops before it is done, and what `relay` raises.
    """
    encode = partial(encode_request, route_trace, request)
    async with await relay.open(route_trace, PATH, encode) as exchange:
        stream, reader = SseBuffer(keep_usage=True), AnswerReader()
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
                yield ModelDelta(usage=meter.usage())
                return
            if meter.near_hold_limit and not await meter.extend_hold():
                yield reader.rest()
                # Leaving the exchange unfinished makes the engine stop.
                yield ModelDelta(finish_reason="length", usage=meter.usage())
                return
