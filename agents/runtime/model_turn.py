"""One turn of a model: what it says and calls, piece by piece, as values instead of bytes."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final

import msgspec

from agents.runtime.journeys import encode_for
from agents.runtime.metering import Meter
from agents.runtime.ports import CallPiece, Said
from inference.errors import UpstreamBroken
from inference.relay.event_stream import EventStream, events_of
from inference.relay.journey import Journey
from inference.relay.opener import Opener
from inference.relay.parameters import ChatRequest
from inference.relay.upstream import Path
from inference.relay.usage import UNREADABLE

PATH: Final[Path] = "/v1/chat/completions"


class FunctionDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: Any = None
    """A piece of text; some engines send a whole object."""


class ToolCallDelta(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] | None = None


class Choice(msgspec.Struct):
    delta: Delta = Delta()
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """What we read of a `chat.completion.chunk`."""

    choices: list[Choice] = []


async def model_turn(
    relay: Opener, journey: Journey, request: ChatRequest, meter: Meter
) -> AsyncGenerator[Said]:
    """Ask the model and yield what it says; pieces that arrive together are one.

    The last piece has the usage, estimated if the engine told none.

    Raises UpstreamBroken if the engine stops before it is done, and what `relay` raises.
    """
    encode = partial(encode_for, journey, request)
    async with await relay.open(journey, PATH, encode) as exchange:
        stream = EventStream(keep_usage=True)
        meter.streams(stream)
        await exchange.ensure_success(content_type="text/event-stream")
        while True:
            block = await exchange.read_block(stream)
            if stream.events:
                meter.first_token()
            if block:
                yield read_block(block)
            if stream.finished:
                await exchange.finish()
                yield Said(usage=meter.usage())
                return
            if meter.cramped and not await meter.make_room():
                # Leaving the exchange unfinished makes the engine stop.
                yield Said(finish_reason="length", usage=meter.usage())
                return


def read_block(block: bytes) -> Said:
    """The pieces of all chunks in `block`, as one. Raises UpstreamBroken for what is no chunk."""
    texts: list[str] = []
    calls: list[CallPiece] = []
    finish_reason = None
    for event in events_of(block):
        for choice in chunk_of(event).choices[:1]:
            texts.append(choice.delta.content or "")
            calls.extend(map(call_piece, choice.delta.tool_calls or ()))
            finish_reason = choice.finish_reason or finish_reason
    return Said(text="".join(texts), calls=tuple(calls), finish_reason=finish_reason)


def call_piece(delta: ToolCallDelta) -> CallPiece:
    function = delta.function or FunctionDelta()
    arguments = function.arguments
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else msgspec.json.encode(arguments).decode()
    return CallPiece(
        index=delta.index, id=delta.id or "", name=function.name or "", arguments=arguments
    )


def chunk_of(event: bytes) -> Chunk:
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    data = b"\n".join(line.removeprefix(b"data:").strip() for line in lines)
    if data in {b"", b"[DONE]"}:
        return Chunk()
    try:
        return msgspec.json.decode(data, type=Chunk)
    except UNREADABLE as error:
        raise UpstreamBroken from error
