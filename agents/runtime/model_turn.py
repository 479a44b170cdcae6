"""One turn of a model: what it says, piece by piece, as text instead of bytes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from agents.runtime.journeys import encode_for
from agents.runtime.metering import Meter
from inference.errors import UpstreamBroken
from inference.relay.event_stream import EventStream, events_of
from inference.relay.journey import Journey
from inference.relay.opener import Opener
from inference.relay.parameters import ChatRequest
from inference.relay.upstream import Path
from inference.relay.usage import UNREADABLE

PATH: Final[Path] = "/v1/chat/completions"


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class Choice(msgspec.Struct):
    delta: Delta = Delta()
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """What we read of a `chat.completion.chunk`."""

    choices: list[Choice] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A piece of the answer; the last one has a `finish_reason`."""

    text: str
    finish_reason: str | None = None


async def model_turn(
    relay: Opener, journey: Journey, request: ChatRequest, meter: Meter
) -> AsyncGenerator[Said]:
    """Ask the model and yield what it says; pieces that arrive together are one.

    Raises UpstreamBroken if the engine stops before it is done, and what `relay` raises.
    """
    encode = partial(encode_for, journey, request)
    async with await relay.open(journey, PATH, encode) as exchange:
        stream = EventStream(keep_usage=True)
        meter.streams(stream)
        await exchange.ensure_success(content_type="text/event-stream")
        while data := await exchange.read():
            block = stream.feed(data)
            if stream.events:
                meter.first_token()
            if block:
                yield read_block(block)
            if stream.finished:
                await exchange.finish()
                return
            if meter.cramped and not await meter.make_room():
                # Leaving the exchange unfinished makes the engine stop.
                yield Said(text="", finish_reason="length")
                return
        raise UpstreamBroken


def read_block(block: bytes) -> Said:
    """The text of all chunks in `block`. Raises UpstreamBroken for what is no chunk."""
    texts: list[str] = []
    finish_reason = None
    for event in events_of(block):
        for choice in chunk_of(event).choices[:1]:
            texts.append(choice.delta.content or "")
            finish_reason = choice.finish_reason or finish_reason
    return Said(text="".join(texts), finish_reason=finish_reason)


def chunk_of(event: bytes) -> Chunk:
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    data = b"\n".join(line.removeprefix(b"data:").strip() for line in lines)
    if data in {b"", b"[DONE]"}:
        return Chunk()
    try:
        return msgspec.json.decode(data, type=Chunk)
    except UNREADABLE as error:
        raise UpstreamBroken from error
