"""The engine's process: its environment, its output, and its end."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from inference.engines import process_guard
from inference.engines.engine import EngineCommand

TAIL_LINES = 20
MAX_LINE_BYTES = 64 * 1024
PRIVATE_PREFIXES = ("TENANTRY_", "DATABASE_URL", "REDIS_")
"""Prefixes of variables that an engine does not inherit: the join token and other secrets."""
INHERITED_NAMES = frozenset({"TENANTRY_STACK_ID"})
"""Inherited, because the embedded stack finds its processes by it."""


@dataclass(slots=True, kw_only=True)
class EngineProcess:
    """A running engine, under its process guard."""

    child: asyncio.subprocess.Process
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    async def copy_output(self) -> None:
        """Copy the output to stdout, and keep the last lines for an error message."""
        assert self.child.stdout is not None
        while chunk := await read_line(self.child.stdout):
            text = chunk.decode(errors="replace").rstrip()
            self.tail.append(text)
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    async def ended(self) -> int:
        """Return the exit code when the engine has ended and its output has been read."""
        await self.copy_output()
        return await self.child.wait()

    async def end(self) -> None:
        """End all processes of the engine through the process guard, and wait for it."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        await self.child.wait()


async def read_line(stream: asyncio.StreamReader) -> bytes:
    """Return one line, or a placeholder for one above the limit; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a very long line)\n"


@contextlib.asynccontextmanager
async def running_process(command: EngineCommand) -> AsyncIterator[EngineProcess]:
    """Run the engine within the block."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", process_guard.__file__, *command.arguments),
        # Stays open as long as this process runs.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE_BYTES,
        env={**inherited_environment(os.environ), **command.environment},
        # Ctrl-C must not reach the engine: it is deregistered first and then stopped.
        start_new_session=True,
    )
    process = EngineProcess(child=child)
    try:
        yield process
    finally:
        await process.end()


def inherited_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in INHERITED_NAMES or not name.startswith(PRIVATE_PREFIXES)
    }
