"""Values that processes share through Redis.

Other versions of the platform write them, too. An unreadable value is ignored, counted and logged;
it never ends its reader.
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
"""Errors of decoding (UnicodeDecodeError is a ValueError)."""
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""Maximum size of shared values. Decoding larger ones would block an event loop."""
MAX_MESSAGE_BYTES = 512
"""Maximum size of a message between workers: an id and a word."""
LOG_EVERY_SECONDS = 60.0

_logged_at: dict[str, float] = {}


class Decoder(Protocol[T_co]):
    """A decoder of msgspec for JSON or MessagePack."""

    def decode(self, data: bytes, /) -> T_co: ...


def read_json(data: Any, kind: type[T], *, reader: str) -> T | None:
    """Return a reply of Redis, decoded as `kind`; None if it is missing or invalid."""
    if data is None:
        return None
    # A class is hashable, but mypy does not know it for `type[T]`.
    return decode(data, json_decoder(kind), reader=reader)  # type: ignore[arg-type]


@cache
def json_decoder(kind: type[T]) -> Decoder[T]:
    """Return a cached decoder, because workers read reports every second."""
    return msgspec.json.Decoder(kind)


def decode(data: Any, decoder: Decoder[T], *, reader: str) -> T | None:
    """Return the decoded value; None for unreadable data."""
    try:
        if len(data) > MAX_VALUE_BYTES:
            raise ValueError("too large")
        return decoder.decode(data)
    except UNREADABLE as error:
        note_unreadable(reader, error)
        return None


def read_message(data: object) -> str | None:
    """Return the text of a message between workers; None for an invalid message."""
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
    """Count an unreadable value, and log it once a minute: it may be read twice a second."""
    metrics.series(metrics.unreadable_values, reader).inc()
    now = time.monotonic()
    if now - _logged_at.get(reader, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
        _logged_at[reader] = now
        log.warning("redis: value unreadable (reader=%s): %s", reader, error.__class__.__name__)
