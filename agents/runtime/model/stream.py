"""The stream of one chat completion, as deltas instead of bytes."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from agents.runtime.loop.model_delta import ModelDelta
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
    """Call the model and yield its deltas; chunks that arrive together become one delta.

    The last delta has the usage, which is estimated if the engine reports none.

    Raises UpstreamBroken if the stream ends before the response does, and what `relay` raises.
    """
    encode = partial(encode_request, route_trace, request)
    async with await relay.open(route_trace, PATH, encode) as exchange:
        stream, reader = SseBuffer(keep_usage=True), AnswerReader()
        meter.attach_stream(stream)
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
                # An exchange that is closed unfinished makes the engine stop.
                yield ModelDelta(finish_reason="length", usage=meter.usage())
                return
