"""Values that processes leave for each other in Redis.

Other versions of us write there, and a fault may. What cannot be read is left out, counted and
logged; it never ends whoever reads it.
"""

import logging
import time
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import msgspec

from kernel import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises, msgspec's own and Python's (UnicodeDecodeError is a ValueError)."""
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""No process of ours writes more; taking it apart would hold up an event loop."""
MAX_MESSAGE_BYTES = 512
"""Of a message between workers: an id and a word."""
LOG_EVERY_SECONDS = 60.0

_logged_at: dict[str, float] = {}


class Decoder(Protocol[T_co]):
    """One of msgspec's, for JSON or MessagePack."""

    def decode(self, data: bytes, /) -> T_co: ...


def read_json(data: Any, kind: type[T], *, reader: str) -> T | None:
    """What Redis' client returned, as a `kind`; None if nothing is there, or something else."""
    if data is None:
        return None
    # A class is hashable, whatever mypy thinks of `type[T]`.
    return decode(data, json_decoder(kind), reader=reader)  # type: ignore[arg-type]


@cache
def json_decoder(kind: type[T]) -> Decoder[T]:
    """Made once for each kind: workers read each other's reports every second."""
    return msgspec.json.Decoder(kind)


def decode(data: Any, decoder: Decoder[T], *, reader: str) -> T | None:
    """By one of msgspec's decoders; None for what cannot be read."""
    try:
        if len(data) > MAX_VALUE_BYTES:
            raise ValueError("too large")
        return decoder.decode(data)
    except UNREADABLE as error:
        note_unreadable(reader, error)
        return None


def read_message(data: object) -> str | None:
    """The text of a message between workers; None if it cannot be one of ours."""
    try:
        if not isinstance(data, bytes) or len(data) > MAX_MESSAGE_BYTES:
            raise ValueError("not a short text")
        text = data.decode()
        if text and not text.isprintable():
            raise ValueError("not printable")
    except ValueError as error:
        note_unreadable("message", error)
        return None
    return text


def note_unreadable(reader: str, error: Exception) -> None:
    """Count it, and log it once a minute: the same value may be read twice a second."""
    metrics.series(metrics.unreadable_values, reader).inc()
    now = time.monotonic()
    if now - _logged_at.get(reader, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
        _logged_at[reader] = now
        log.warning("redis: value unreadable (reader=%s): %s", reader, error.__class__.__name__)
