"""Server-sent events as bytes: forwarded whole, looked into as little as possible.

Source: the WHATWG HTML standard, "Server-sent events"; events end with an empty line.
"""

import re
from typing import Any, Final

import msgspec

from inference.errors import UpstreamBroken
from inference.relay.answers.chunk_shape import ChunkShape
from inference.relay.answers.engine_answers import (
    Part,
    counts_of,
    decoded,
    read_chunk,
    readable,
    texts_of,
)
from inference.relay.usage import UNREADABLE, estimate_tokens, read_usage
from kernel.errors import PlatformError, UpstreamError
from tenants.admission.usage.records import Usage

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""As long as a whole answer may be: an engine may send one as a single event."""
MAX_UNCLEAR_EVENT_BYTES: Final = 1024 * 1024
"""Kept of an event that does not begin as a chunk: garbage takes no more memory."""
MAX_BEGINNING_BYTES: Final = 4096
OBJECT_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:(?!data:)[^\n]*\n)*data:\s*\{")
"""The data of an event that is an object."""
LONG_CHUNK_BYTES: Final = 600
"""From here on a chunk may hold more than one token."""
DONE: Final = b"[DONE]"
END: Final = b"data: [DONE]\n\n"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
CHUNKS: Final = (b'data: {"id":', b'data: {"object":', b'data: {"choices":')
"""How chunks begin, as engines write them."""
NO_CHOICES: Final = re.compile(rb'"choices":\s?\[\]')
USAGE: Final = re.compile(rb',\s?"(?:usage|timings)":\s?(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
"""Inside a string the quotes would be escaped, so this finds the member and nothing else."""
FAILURE_LINE: Final = re.compile(rb"^(?:error:|event: ?error\b)", re.MULTILINE | re.ASCII)
"""How some engines begin the line of a failure. A model's own line breaks are escaped."""


class SseBuffer:
    """Turns what arrives from an engine into what is sent to the client.

    Only complete events leave `feed`. Of the last ones that hold usage a copy is kept.
    """

    def __init__(
        self, *, keep_usage: bool, keep_every_usage: bool = False, answers: int = 1
    ) -> None:
        """`keep_usage`: the client asked for the usage, which is one last chunk without choices;
        `keep_every_usage`: it asked for what engines write beside other chunks as well. `answers`
        is how many choices the stream has.
        """
        self._keep_usage = keep_usage or keep_every_usage
        self._keep_every_usage = keep_every_usage
        self._answers = answers
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._usage_blocks = (b"", b"")
        self._has_sent_usage = False
        self._shape: ChunkShape | None = None
        self._ended_choices: set[Any] = set()
        self.events = 0
        """Chunks of the answer, about one a token. What has no choices is no sign of life."""
        self.extra_tokens = 0
        """Estimated tokens beyond one a chunk, where chunks are long and nobody counts."""
        self.failure: PlatformError | None = None
        """What comes after the events that were given out last; whoever reads has to raise it."""
        self.finished = False
        """Whether the engine said that this was all."""

    @property
    def is_complete(self) -> bool:
        """Whether every choice has its finish reason: what is missing is a polite end at most."""
        return len(self._ended_choices) >= self._answers

    @property
    def is_between_events(self) -> bool:
        """Whether nothing of an event is held back."""
        return not self._rest

    @property
    def progress(self) -> int:
        """Grows with every part of an answer. Comments and pings are none."""
        if not self._rest or self._rest[0].startswith(b":"):
            return self.events
        return self.events + self._rest_bytes

    def feed(self, data: bytes) -> bytes:
        """The complete events up to here.

        Raises UpstreamBroken for what is no event stream and for failures inside it; before the
        first chunk of an answer also what the engine says against the request.
        """
        if self._shape is not None and not self._rest:  # most often, chunks like the last
            like = self._next_like(self._shape, data if data.isascii() else readable(data))
            if like is not None:
                return like
        if self.failure is not None:
            raise self.failure
        is_whole = not self._rest and data.endswith(b"\n\n") and b"\r" not in data
        block = data if is_whole else self._complete(data)
        if not block:
            return b""
        if not block.isascii():
            block = readable(block)
        block = self._look_through(block)
        if self.finished:
            block = self._with_end(block)
        return block

    def close(self) -> bytes:
        """What is still to be sent, now that the engine has ended its answer.

        Raises UpstreamBroken if the engine was not done.
        """
        if self.failure is not None:
            raise self.failure
        if self.is_complete and not is_readable(data_of(b"".join(self._rest))):
            # The end of a whole answer, cut: nobody misses it.
            self._rest, self._rest_bytes = [], 0
        block = self.feed(b"\n\n") if any(map(bytes.strip, self._rest)) else b""
        if self.failure is not None:
            raise self.failure
        if self.finished:
            return block
        if not self.is_complete:
            raise UpstreamBroken
        self.finished = True
        return self._with_end(block)

    def _next_like(self, shape: ChunkShape, block: bytes) -> bytes | None:
        """Chunks that differ from the one before in nothing but their texts and numbers, as they
        are to be sent on. None if `block` is anything else.
        """
        beginnings = shape.beginnings_of(block)
        if beginnings is None:
            return None
        if shape.has_usage:
            self._usage_blocks = (self._usage_blocks[1], block)
        elif len(block) > LONG_CHUNK_BYTES and not self._usage_blocks[1]:
            return None  # a chunk of it may have to be read for its tokens, which nobody counts
        self.events += len(beginnings)
        return block if self._keep_every_usage else shape.without_usage(block, beginnings)

    # Reading.

    def _look_through(self, block: bytes) -> bytes:
        """`block` without what is behind its end or its failure."""
        good: list[bytes] = []
        for event in whole_events_of(block):
            try:
                whole = self._look_at(event)
            except PlatformError as error:
                self._shape, self.failure = None, broken(error) if self.events else unsent(error)
                break
            if self.finished:
                break
            good.append(whole)
        if self.failure is not None and not any(good):
            raise self.failure
        return b"".join(good)

    def _look_at(self, event: bytes) -> bytes:
        """What is to be sent on of a whole event. Raises what it says of a failure."""
        if self._shape is not None and (like := self._next_like(self._shape, event)) is not None:
            return like
        if is_plain_chunk(event):
            self._count(event)
            self._shape = ChunkShape.of(event)
        else:
            event = self._look_into(event)
        # From its end, where usage stands nearly always.
        if event.rfind(b'"usage"') >= 0 or b'"timings"' in event:
            event = self._note_usage(event)
        return event

    def _look_into(self, event: bytes) -> bytes:
        """The same for an event that is no plain chunk."""
        if FAILURE_LINE.search(event):
            raise failure_in_line(event)
        data = data_of(event)
        if not data:
            return event
        if data == DONE:
            self.finished = True
            return b""
        part = read_chunk(data)
        if part.choices:
            self.events += 1
            self._ended_choices.update(part.finished)
            if len(event) > LONG_CHUNK_BYTES:
                self._note_length(part)
        elif not isinstance(part.choices, list):
            return with_choices(data) if part.usage else b""  # a ping is no chunk
        return event

    def _count(self, chunk: bytes) -> None:
        """One more chunk. Raises UpstreamBroken if it is long, and cannot be read."""
        if len(chunk) > LONG_CHUNK_BYTES and not self._usage_blocks[1]:
            self._note_length(read_chunk(chunk[len(b"data:") :]))
        self.events += 1

    def _note_length(self, part: Part) -> None:
        tokens = sum(map(estimate_tokens, texts_of(part)))
        self.extra_tokens += max(0, tokens - 1)

    def _complete(self, data: bytes) -> bytes:
        if b"\r" in data or (self._rest and self._rest[-1].endswith(b"\r")):
            data = self._with_plain_lines(data)
        last = self._rest[-1] if self._rest else b""
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            # Of what was held back only the last byte can belong to the empty line.
            end = 1 if last.endswith(b"\n") and data.startswith(b"\n") else 0
        if not end:
            self._hold_back(data)
            return b""
        block = b"".join((*self._rest, data[:end]))
        self._rest, self._rest_bytes = [], 0
        self._hold_back(data[end:])
        return block

    def _with_plain_lines(self, data: bytes) -> bytes:
        """`data` with LF at the ends of its lines. A CR at its end waits for what comes next."""
        if self._rest and self._rest[-1].endswith(b"\r"):
            data = self._rest.pop() + data
            self._rest_bytes = sum(map(len, self._rest))
        tail = b"\r" if data.endswith(b"\r") else b""
        text = data[: len(data) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return text + tail

    def _hold_back(self, rest: bytes) -> None:
        if not rest or (self.is_between_events and rest.isspace()):
            return  # blanks before an event belong to none
        self._rest.append(rest)
        self._rest_bytes += len(rest)
        if self._rest_bytes > MAX_UNCLEAR_EVENT_BYTES and (
            self._rest_bytes > MAX_EVENT_BYTES or not begins_as_chunk(self._rest)
        ):
            raise UpstreamBroken

    # Usage.

    def _note_usage(self, event: bytes) -> bytes:
        """What is to be sent on of a whole event with a usage."""
        if b'_tokens"' in event or b'"timings"' in event:
            # Not a later `null`. Of two the first is kept for the case that the other is not meant.
            self._usage_blocks = (self._usage_blocks[1], event)
        if self._keep_every_usage:
            self._has_sent_usage = True
            return event
        if not NO_CHOICES.search(event):
            return without_usage(event)
        # As in OpenAI's API: clients that did not ask read `choices[0]` of every chunk.
        if not self._keep_usage:
            return b""
        self._has_sent_usage = self._has_sent_usage or b'_tokens"' in event
        return event

    def _with_end(self, block: bytes) -> bytes:
        """`block` as the last one, with the usage before its end where the client waits for it."""
        if self._keep_usage and not self._has_sent_usage:
            block += self._usage_chunk()
        return block + END

    def _usage_chunk(self) -> bytes:
        """The usage, where the engine has put it, as OpenAI's clients look for it."""
        usage = self.usage()
        if usage is None:
            return b""
        event = next(each for each in reversed(events_of(self._newest_usage())) if data_of(each))
        chunk = decoded(data_of(event))
        kept = {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
        counts = chunk.get("usage") or counts_of(usage)
        return b"data: %b\n\n" % msgspec.json.encode({**kept, "choices": [], "usage": counts})

    def _newest_usage(self) -> bytes:
        before, newest = self._usage_blocks
        return newest if usage_in(newest) is not None else before

    def usage(self) -> Usage | None:
        """The last usage that the engine sent and that can be meant, if any."""
        return usage_in(self._newest_usage())


def usage_in(block: bytes) -> Usage | None:
    for event in reversed(events_of(block)):
        try:
            usage = read_usage(data_of(event))
        except UNREADABLE:
            continue  # [DONE], a comment, or garbage
        if usage is not None:
            return usage
    return None


def without_usage(event: bytes) -> bytes:
    """`event`, a chunk with choices, without the usage beside them."""
    return USAGE.sub(b"", event)


def events_of(block: bytes) -> list[bytes]:
    return [event for event in block.split(b"\n\n") if event]


def whole_events_of(block: bytes) -> list[bytes]:
    """Each with the empty line behind it. A single one, which may be long, is not copied."""
    if block.find(b"\n\n") == len(block) - 2:
        return [block]
    return [event + b"\n\n" for event in events_of(block)]


def begins_as_chunk(parts: list[bytes]) -> bool:
    """Whether an event, of which these parts are there, may become a chunk of an answer."""
    beginning = b""
    for part in parts:
        beginning += part[: MAX_BEGINNING_BYTES - len(beginning)]
        if len(beginning) == MAX_BEGINNING_BYTES:
            break
    return b'"choices"' in beginning and OBJECT_BEGINS.match(beginning) is not None


def data_of(event: bytes) -> bytes:
    """The data of an event, its lines together; empty for comments."""
    if event.startswith(b"data:") and b"\n" not in event.rstrip(b"\n"):
        return event[len(b"data:") :].strip()
    lines = event.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    found = (line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:"))
    return b"\n".join(found)


def is_plain_chunk(block: bytes) -> bool:
    """Whether `block`, which is whole events, is certainly a single chunk of an answer that goes
    on. What is not certain is decoded.
    """
    return (
        block.startswith(CHUNKS)
        and block.find(b"\n") == len(block) - 2
        and block.endswith(b"}\n\n")
        and b'"delta":' in block
        and b'error"' not in block
        and b'"finish_reason":"' not in block
        and b'"finish_reason": "' not in block
    )


def is_readable(data: bytes) -> bool:
    """Whether it is the end of a stream, or JSON."""
    if data == DONE:
        return True
    try:
        msgspec.json.decode(data)
    except UNREADABLE:
        return False
    return True


def broken(error: PlatformError) -> PlatformError:
    """A failure after the first part of an answer: it is no longer about the request."""
    return error if isinstance(error, UpstreamBroken) else UpstreamBroken()


def unsent(error: PlatformError) -> PlatformError:
    """A failure before any part of an answer: the request may be wrong, or the engine busy."""
    return broken(error) if isinstance(error, UpstreamError) else error


def with_choices(data: bytes) -> bytes:
    """A chunk that has usage only, as clients expect it."""
    chunk = decoded(data)
    return b"data: %b\n\n" % msgspec.json.encode({**chunk, "choices": []})


def failure_in_line(event: bytes) -> PlatformError:
    """The failure of an event that is one by its name; its data is an error object or a text."""
    lines = event.split(b"\n")
    text = data_of(event) or b"".join(
        line.removeprefix(b"error:") for line in lines if line.startswith(b"error:")
    )
    try:
        read_chunk(b'{"error":%b}' % (text.strip() or b"1"))
    except PlatformError as error:
        return error
    return UpstreamBroken()
