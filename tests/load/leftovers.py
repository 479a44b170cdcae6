"""Ends everything that a measurement started, however the measurement itself ends."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from embedded.reaper import MARKER, start_reaper

EXIT_CODE_OF_SIGNALS = 128


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Around the whole of a program: its processes end with the block, or with the program.

    The program starts again at first, so that all of its processes carry a mark from their start.
    The stack's reaper, a process beside it, ends those that carry it; SIGKILL spares none either.
    """
    mark = os.environ.get(MARKER, "")
    if not mark.startswith(f"{os.getpid()}-"):
        marked = {**os.environ, MARKER: f"{os.getpid()}-{uuid4().hex}"}
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], marked)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    reaper = start_reaper(mark)
    try:
        yield
    finally:
        reaper.finish()


def leave(number: int, _: object) -> None:
    """As Ctrl-C does: through the end of each block."""
    sys.exit(EXIT_CODE_OF_SIGNALS + number)
