"""How the log of a run lies in Redis: one stream, an entry an event, and only one end.

The entry of event n has the id `1-n`, the last event `2-0`. Redis takes ids in rising order only,
so that nobody writes a number twice, nothing follows the end, and there is no second end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import redis

from agents.events.event import Event
from kernel.storage.shared_values import decode

FIELD = b"e"
END = b"2-0"
OPEN_SECONDS = 24 * 3600
"""How long a log without an end is kept, should nobody ever end it."""
PAUSED_SECONDS = 8 * 24 * 3600
"""The same of one that waits for a person: longer than anybody may take to decide."""

END_SCRIPT = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last == 0 then return -1 end
local number = string.match(last[1][1], '^1%-(%d+)$')
if not number then return -2 end
number = string.format('%d', number + 1)
redis.call('XADD', KEYS[1], '2-0', 'e', ARGV[1] .. number .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return tonumber(number)
"""
"""Ends a log whose writer is gone. Answers the number; -1 without a log, -2 if it has its end."""
NUMBER = b'"sequence_number":'


class Typed(msgspec.Struct, frozen=True):
    """What every event has."""

    type: str


class EntryUnreadable(redis.InvalidResponse):
    """The log holds what no run of ours has written."""


TYPED = msgspec.json.Decoder(Typed)
Entry = tuple[bytes, dict[bytes, bytes]]


def key_of(run_id: str) -> str:
    return f"tenantry:run:{run_id}:events"


def commands_of(key: str, events: Sequence[Event], *, ttl: int) -> Iterable[tuple[object, ...]]:
    """What writes `events`. `ttl` is in seconds, from the end on."""
    for event in events:
        # A log that is lost must not begin anew in the middle.
        how = () if event.number == 0 else (b"NOMKSTREAM",)
        place = END if event.is_last else b"1-%d" % event.number
        yield (b"XADD", key, *how, place, FIELD, event.data)
        if event.number == 0:
            yield (b"EXPIRE", key, OPEN_SECONDS)
        if event.is_last:
            yield (b"EXPIRE", key, ttl)


def read_entries(entries: Iterable[Entry], *, first: int) -> list[Event]:
    """Events of consecutive entries, of which the first one has that number.

    Raises EntryUnreadable for what no run of ours has written: then the log is as good as lost.
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
    """What `eval` is called with; the script puts the number into the frame."""
    numbered = {"type": frame["type"], "sequence_number": 0, **frame}
    head, _, tail = msgspec.json.encode(numbered).partition(NUMBER + b"0")
    return END_SCRIPT, 1, key_of(run_id), head + NUMBER, tail, ttl
