"""The engine's process: its output, its end, and how it is asked to end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from inference.engines.engine import Command

TAIL_LINES = 20
STOP_SECONDS = 10.0
LONGEST_LINE = 64 * 1024


@dataclass(slots=True, kw_only=True)
class EngineProcess:
    """A running engine."""

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

    def signal(self, number: signal.Signals) -> None:
        """To the whole group: vLLM's workers are processes of their own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)


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
        *command.arguments,
        # Held open for as long as we live: llama.cpp's process ends when it closes.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LONGEST_LINE,
        env={**os.environ, **command.environment},
        # Ctrl-C is for us: we deregister first and then stop it.
        start_new_session=True,
    )
    process = EngineProcess(child=child)
    try:
        yield process
    finally:
        process.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await child.wait()
