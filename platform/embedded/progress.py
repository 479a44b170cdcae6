"""Shows a long step while it runs, and the seconds it took. Standard library only."""

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
    """Say that `what` is being done, and when it is done, how long it took.

    On a terminal the seconds count up in one line. Elsewhere there is a line when it begins and one
    when it ends, since whatever reads the output may show whole lines only.
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
    """Redraw the line each second; it stays as it is if the step fails."""
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
    """`text` and the seconds since `started`, a time of the system's clock."""
    return f"{text:<{WIDTH_CHARS}} {time.time() - started:5.1f} s"
