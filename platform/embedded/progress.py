"""One line per long step, with the seconds it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

WIDTH = 34


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say `what` is being done, and how long it took; the line stays open if it fails."""
    print(f"{what:<{WIDTH}} ", end="", flush=True)
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:5.1f} s", flush=True)
