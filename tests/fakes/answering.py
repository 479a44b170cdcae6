"""Puts an answer on the wire as the behaviour says, and writes down what really went out."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes import wire
from tests.fakes.behaviour import Behaviour, Fault
from tests.fakes.record import Outcome, Record

ENDLESS = 10 * 1024 * 1024
PAGE = "<!doctype html><html><body><h1>It works!</h1></body></html>"
EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"


@dataclass(slots=True)
class Writer:
    """Writes bytes to one client: compressed, or cut inside characters, if that is asked for."""

    request: web.Request
    behaviour: Behaviour
    record: Record
    response: web.StreamResponse = field(default_factory=web.StreamResponse)
    squeeze: Any = None

    async def start(self, *, content_type: str, status: int = 200) -> None:
        self.record.status = status
        self.response.set_status(status)
        self.response.headers["content-type"] = content_type
        if self.behaviour.huge_header:
            self.response.headers["x-huge"] = "h" * 100_000
        if self.behaviour.gzip:
            self.response.headers["content-encoding"] = "gzip"
            self.squeeze = zlib.compressobj(wbits=31)
        await self.response.prepare(self.request)

    async def write(self, text: str) -> None:
        data = text.encode()
        if self.squeeze is not None:
            data = self.squeeze.compress(data) + self.squeeze.flush(zlib.Z_SYNC_FLUSH)
        at = inside_a_character(data) if self.behaviour.splits_utf8 else 0
        for part in (data[:at], data[at:]):
            if part:
                await self.response.write(part)
                # The other side shall see two reads, and a lost connection shall be noticed.
                await asyncio.sleep(0.002 if at else 0)

    async def finish(self) -> None:
        if self.squeeze is not None:
            await self.response.write(self.squeeze.flush())
        await self.response.write_eof()
        self.record.end(Outcome.FINISHED)

    def cut(self) -> None:
        """Close the connection; what was written before still arrives."""
        self.record.end(Outcome.CUT)
        if self.request.transport is not None:
            self.request.transport.close()


def inside_a_character(data: bytes) -> int:
    """An index inside a character of several bytes; 0 if there is none."""
    return next((index for index, byte in enumerate(data) if byte & 0xC0 == 0x80), 0)


async def answer(writer: Writer, planned: wire.Plan, *, stream: bool) -> None:
    """Send the planned answer, or what is to go wrong in its place."""
    match planned.behaviour.fault:
        case Fault.CLOSES:
            writer.cut()
        case Fault.STALLS:
            await stall()
        case Fault.REFUSES:
            await refuse(writer)
        case Fault.GARBAGE:
            await send(writer, PAGE, content_type="text/html")
        case Fault.ENDLESS_LINE:
            body = "data: " + "x" * ENDLESS
            await send(writer, body, content_type=EVENT_STREAM if stream else JSON)
        case _ if stream:
            await send_stream(writer, planned)
        case _:
            await send_complete(writer, planned)


async def stall() -> None:
    """Until the client leaves: the handler is cancelled then."""
    await asyncio.Event().wait()


async def refuse(writer: Writer) -> None:
    behaviour = writer.behaviour
    if behaviour.retry_after:
        writer.response.headers["retry-after"] = behaviour.retry_after
    await send(writer, behaviour.error_body, content_type=JSON, status=behaviour.status)


async def send(writer: Writer, body: str, *, content_type: str, status: int = 200) -> None:
    await writer.start(content_type=content_type, status=status)
    await writer.write(body)
    await writer.finish()


async def send_complete(writer: Writer, planned: wire.Plan) -> None:
    record, behaviour = writer.record, planned.behaviour
    await asyncio.sleep(planned.pause)
    made = planned.tokens * planned.choices
    record.tokens_produced = made
    body = wire.dump(wire.complete(planned))
    cuts = behaviour.fault in {Fault.TRUNCATED_JSON, Fault.DIES_AFTER, Fault.STALLS_AFTER}
    await writer.start(content_type=JSON)
    await writer.write(body[: len(body) // 2] if cuts else body)
    if behaviour.fault is Fault.DIES_AFTER:
        writer.cut()
    elif behaviour.fault is Fault.STALLS_AFTER:
        await stall()
    else:
        record.tokens_written = 0 if cuts else made
        record.usage_written = None if cuts else planned.usage(made)
        await writer.finish()


async def send_stream(writer: Writer, planned: wire.Plan) -> None:
    record, behaviour = writer.record, planned.behaviour
    end = "\r\n\r\n" if behaviour.crlf else "\n\n"
    await writer.start(content_type=EVENT_STREAM)
    async for chunk, made in chunks(planned):
        record.tokens_produced = made
        if made > behaviour.after_chunks and behaviour.fault is not Fault.NONE:
            await break_off(writer, chunk, end=end)
            return
        await writer.write(f"data: {wire.dump(chunk)}{end}")
        record.tokens_written = made
        record.usage_written = chunk.get("usage") or record.usage_written
    if behaviour.sends_done:
        await writer.write(f"data: [DONE]{end}")
    await writer.finish()


async def break_off(writer: Writer, chunk: dict[str, Any], *, end: str) -> None:
    """Mid-stream: fall silent, close, or send half a chunk and end as if all was well."""
    match writer.behaviour.fault:
        case Fault.STALLS_AFTER:
            await stall()
        case Fault.DIES_AFTER:
            writer.cut()
        case _:
            half = wire.dump(chunk)
            await writer.write(f"data: {half[: len(half) // 2]}{end}")
            await writer.finish()


async def chunks(planned: wire.Plan) -> AsyncIterator[tuple[dict[str, Any], int]]:
    """Every chunk in its time, and how many tokens the answer has after it."""
    behaviour = planned.behaviour
    await asyncio.sleep(behaviour.first_token_seconds)
    if planned.chat:
        for choice in range(planned.choices):
            yield wire.chunk(planned, choice=choice, opens=True), 0
    made = 0
    for index, delta in enumerate(wire.deltas(planned)):
        if index and behaviour.token_seconds:
            await asyncio.sleep(behaviour.token_seconds)
        is_last = index == planned.tokens - 1
        for choice in range(planned.choices):
            made += 1
            finish = planned.finish_reason if is_last else None
            yield wire.chunk(planned, choice=choice, delta=delta, finish=finish, made=made), made
    if planned.include_usage:
        yield wire.usage_chunk(planned), made
