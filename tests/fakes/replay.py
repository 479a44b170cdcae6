"""An engine that answers every POST with the same bytes, cut where the test wants them cut."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(kw_only=True)
class Replay:
    """What it says next, and what it was asked."""

    port: int = 0
    head: bytes = STREAM
    pieces: Sequence[bytes] = ()
    """Written one by one; in a stream each is a chunk of HTTP's."""
    pause_seconds: float = 0.0
    """After each piece, so that it arrives alone."""
    asked: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stream(self, *pieces: bytes) -> None:
        self.head, self.pieces = STREAM, pieces

    def whole(self, answer: bytes) -> None:
        """A status line without `HTTP/1.1`, headers, an empty line, the body; lines end in LF."""
        head, body = answer.split(b"\n\n", 1)
        lines = head.replace(b"\n", b"\r\n")
        self.head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (lines, len(body))
        self.pieces = (body,)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        sizes = [line.split(b":")[1] for line in lines if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(sizes[0])) if sizes else b""
        if head.startswith(b"GET"):
            writer.write(HEALTHY)
            return
        self.asked.append(body)
        chunked = self.head == STREAM
        writer.write(self.head)
        for piece in self.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
            await asyncio.sleep(self.pause_seconds)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def replaying() -> AsyncIterator[Replay]:
    """A replay on a free port, in the loop of the test."""
    replay = Replay()
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0)
    replay.port = server.sockets[0].getsockname()[1]
    try:
        yield replay
    finally:
        server.close()


def events_of(stream: bytes) -> list[bytes]:
    """The events of a stream, each with its empty line; what is behind the last one too."""
    *events, rest = stream.split(b"\n\n")
    return [event + b"\n\n" for event in events] + [rest] * bool(rest)
