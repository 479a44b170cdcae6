"""Prints the progress and the duration of a long step. Standard library only."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

WIDTH_CHARS = 40
REFRESH_SECONDS = 1.0
ERASE_LINE = "\r\033[K"


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print that a step runs, and its duration when it has ended.

    On a terminal the seconds count up in one line. Otherwise one line is printed at the start and
    one at the end, because the reader may process whole lines only.
    """
    started = time.time()
    if not sys.stdout.isatty():
        print(f"{what} …", flush=True)
        yield
        print(line(f"{what}: done", started), flush=True)
        return
    with counting(what, started):
        yield
    print(f"{ERASE_LINE}{line(what, started)}", flush=True)


@contextmanager
def counting(what: str, started: float) -> Iterator[None]:
    """Redraw the line each second; after a failure it is not changed."""
    ended = threading.Event()

    def redraw() -> None:
        while not ended.wait(REFRESH_SECONDS):
            print(f"{ERASE_LINE}{line(what, started)} …", end="", flush=True)

    print(f"{what} …", end="", flush=True)
    counter = threading.Thread(target=redraw, daemon=True)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()


def line(text: str, started: float) -> str:
    """Return `text` and the seconds since `started`, which is in seconds since 1970."""
    return f"{text:<{WIDTH_CHARS}} {time.time() - started:5.1f} s"
