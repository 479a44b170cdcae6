"""The engine's process: its environment, its output, and its end."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from inference.engines import process_guard
from inference.engines.engine import Command

TAIL_LINES = 20
MAX_LINE_BYTES = 64 * 1024
OURS = ("TENANTRY_", "DATABASE_URL", "REDIS_")
"""How names begin that are no business of an engine: the join token and the stack's secrets."""
KEPT = frozenset({"TENANTRY_STACK_ID"})
"""By which a stack on one machine finds everything that belongs to it."""


@dataclass(slots=True, kw_only=True)
class EngineProcess:
    """A running engine, under its process guard."""

    child: asyncio.subprocess.Process
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    async def copy_output(self) -> None:
        """Pass its lines on, and remember the last ones for an error message."""
        assert self.child.stdout is not None
        while chunk := await read_line(self.child.stdout):
            text = chunk.decode(errors="replace").rstrip()
            self.tail.append(text)
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    async def ended(self) -> int:
        """Returns its exit code when it has ended and all of its output has been read."""
        await self.copy_output()
        return await self.child.wait()

    async def end(self) -> None:
        """Returns when all of its processes have ended; the process guard ends them."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        await self.child.wait()


async def read_line(stream: asyncio.StreamReader) -> bytes:
    """One line, or as much of an endless one as fits; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a very long line)\n"


@contextlib.asynccontextmanager
async def running_process(command: Command) -> AsyncIterator[EngineProcess]:
    """The engine runs inside the block and nowhere else."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", process_guard.__file__, *command.arguments),
        # Held open for as long as we live.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE_BYTES,
        env={**without_ours(os.environ), **command.environment},
        # Ctrl-C is for us: we deregister first and then stop it.
        start_new_session=True,
    )
    process = EngineProcess(child=child)
    try:
        yield process
    finally:
        await process.end()


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in KEPT or not name.startswith(OURS)
    }
