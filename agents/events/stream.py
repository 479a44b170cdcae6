"""The log of a run in Redis: one stream with one entry per event, and exactly one end.

The entry of event n has the id `1-n`, the last event `2-0`. Redis takes ids in rising order only,
so that no number is written twice, nothing follows the end, and there is no second end.

A worker that continues a run raises the log's last id by `fence_command`: attempt k writes event n
as `1-((k - 1) * 2^40 + n)`, and Redis refuses the later events of the earlier worker.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import redis

from agents.events.event import Event
from kernel.storage.shared_values import decode

FIELD = b"e"
END = b"2-0"
ATTEMPT_STEP = 1 << 40
OPEN_SECONDS = 24 * 3600
"""The expiry of a log without an end."""
PAUSED_SECONDS = 8 * 24 * 3600
"""The expiry of the log of a paused run: longer than the time limit of an approval."""

END_SCRIPT = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last == 0 then return -1 end
local place = string.match(last[1][1], '^1%-(%d+)$')
if not place then return -2 end
local number = string.format('%d', tonumber(place) % 2^40 + 1)
redis.call('XADD', KEYS[1], '2-0', 'e', ARGV[1] .. number .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return tonumber(number)
"""
"""Ends a log without a writer. Returns the event's number; -1 without a log, -2 if it has ended."""
NUMBER = b'"sequence_number":'


class TypedEvent(msgspec.Struct, frozen=True):
    """The member that every event has."""

    type: str


class EntryUnreadable(redis.InvalidResponse):
    """The log contains an entry that no run has written."""


TYPED = msgspec.json.Decoder(TypedEvent)
Entry = tuple[bytes, dict[bytes, bytes]]


def key_of(run_id: str) -> str:
    return f"tenantry:run:{run_id}:events"


def place_of(number: int, *, attempt: int) -> bytes:
    """Return the id of an event's entry."""
    return b"1-%d" % ((attempt - 1) * ATTEMPT_STEP + number)


def fence_command(key: str, *, attempt: int) -> tuple[object, ...]:
    """Return the command after which Redis refuses the events of earlier attempts.

    Redis refuses it if the log has ended, if a later attempt has begun, or without a log.
    """
    return (b"XSETID", key, place_of(0, attempt=attempt))


def commands_of(
    key: str, events: Sequence[Event], *, attempt: int, ttl: int
) -> Iterable[tuple[object, ...]]:
    """Yield the commands that write `events`. The log expires `ttl` seconds after its end."""
    for event in events:
        # A lost log must not start again in the middle.
        how = () if event.number == 0 else (b"NOMKSTREAM",)
        place = END if event.is_last else place_of(event.number, attempt=attempt)
        yield (b"XADD", key, *how, place, FIELD, event.data)
        if event.number == 0:
            yield (b"EXPIRE", key, OPEN_SECONDS)
        if event.is_last:
            yield (b"EXPIRE", key, ttl)


def read_entries(entries: Iterable[Entry], *, first: int) -> list[Event]:
    """Return the events of consecutive entries; the first one has the number `first`.

    Raises EntryUnreadable for an entry that no run has written: the log is then treated as lost.
    """
    return [
        Event(number, readable(fields), is_last=place == END)
        for number, (place, fields) in enumerate(entries, first)
    ]


def readable(fields: Mapping[bytes, bytes]) -> bytes:
    data = fields.get(FIELD, b"")
    frame = decode(data, TYPED, reader="run_event")
    if frame is None or b"\n" in data or not data.startswith(b'{"type":"'):
        raise EntryUnreadable("an event of a run cannot be read")
    return data


def end_arguments(
    run_id: str, frame: dict[str, Any], *, ttl: int
) -> tuple[str, int, str, bytes, bytes, int]:
    """Return the arguments of `eval`; the script puts the number into the frame."""
    numbered = {"type": frame["type"], "sequence_number": 0, **frame}
    head, _, tail = msgspec.json.encode(numbered).partition(NUMBER + b"0")
    return END_SCRIPT, 1, key_of(run_id), head + NUMBER, tail, ttl
