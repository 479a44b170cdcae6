"""A gate before a real Redis: it can be slow, silent, cut answers short, or lie."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SCRIPT_CALLS = (b"$5\r\nFCALL\r\n", b"$8\r\nFUNCTION\r\n")


@dataclass
class RedisGate:
    """What passes and what does not; may be changed at any time."""

    upstream: str
    """`redis://…`"""
    port: int = 0
    delay: float = 0.0
    """Seconds that each answer takes longer."""
    silent: bool = False
    """Nothing comes back, and connections stay open."""
    lie: bytes | None = None
    """Instead of each answer to a script."""
    lie_then_close: bool = False
    drip: bool = False
    """One byte at a time, each as late as `delay` says."""
    connections: int = 0
    tasks: set[asyncio.Task] = field(default_factory=set)

    @property
    def url(self) -> str:
        parts = urlsplit(self.upstream)
        login = f":{parts.password}@" if parts.password else ""
        return f"redis://{login}127.0.0.1:{self.port}{parts.path}"

    async def serve(self, reader, writer):
        self.connections += 1
        parts = urlsplit(self.upstream)
        try:
            up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            writer.close()
            return
        both = [
            asyncio.create_task(self.ask(reader, up_writer, writer)),
            asyncio.create_task(self.answer(up_reader, writer)),
        ]
        self.tasks |= set(both)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            self.tasks -= set(both)
            up_writer.close()
            writer.close()
            await asyncio.gather(*both, return_exceptions=True)

    async def ask(self, reader, up_writer, writer):
        while data := await reader.read(1 << 20):
            calls = sum(data.count(call) for call in SCRIPT_CALLS)
            if self.lie is None or not calls:
                up_writer.write(data)
                continue
            writer.write(self.lie * calls)
            if self.lie_then_close:
                await writer.drain()
                return

    async def answer(self, up_reader, writer):
        while data := await up_reader.read(1 << 20):
            if self.silent:
                continue
            for part in [bytes([byte]) for byte in data] if self.drip else [data]:
                await asyncio.sleep(self.delay)
                writer.write(part)


@contextlib.asynccontextmanager
async def redis_gate(upstream: str) -> AsyncIterator[RedisGate]:
    """A gate before the server at `upstream`."""
    gate = RedisGate(upstream)
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        server.close()
        for task in list(gate.tasks):
            task.cancel()
        await asyncio.gather(*gate.tasks, return_exceptions=True)
        # Their connections close in what follows them.
        await asyncio.sleep(0.02)
