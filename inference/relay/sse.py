"""Server-sent events as bytes: forwarded unchanged, and parsed as little as possible.

Source: the WHATWG HTML standard, "Server-sent events"; events end with an empty line.
"""

import re
from typing import Any, Final

import msgspec

from inference.errors import UpstreamBroken
from inference.relay.answers.chunk_shape import ChunkShape
from inference.relay.answers.engine_answers import (
    JudgedAnswer,
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
"""The limit of a complete response, because an engine may send one as a single event."""
MAX_UNCLEAR_EVENT_BYTES: Final = 1024 * 1024
"""Limit of an event that does not begin as a chunk, so that garbage uses little memory."""
MAX_BEGINNING_BYTES: Final = 4096
OBJECT_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:(?!data:)[^\n]*\n)*data:\s*\{")
"""Matches an event whose data begins an object."""
LONG_CHUNK_BYTES: Final = 600
"""Size from which a chunk may contain more than one token."""
DONE: Final = b"[DONE]"
END: Final = b"data: [DONE]\n\n"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
CHUNKS: Final = (b'data: {"id":', b'data: {"object":', b'data: {"choices":')
"""First bytes of chunks, as engines write them."""
NO_CHOICES: Final = re.compile(rb'"choices":\s?\[\]')
USAGE: Final = re.compile(rb',\s?"(?:usage|timings)":\s?(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
"""Inside a string the quotes are escaped, so this matches the member only."""
FAILURE_LINE: Final = re.compile(rb"^(?:error:|event: ?error\b)", re.MULTILINE | re.ASCII)
"""First bytes of a failure's line. Line breaks in generated text are escaped."""


class SseBuffer:
    """Converts the bytes received from an engine into those sent to the client.

    `feed` returns complete events only. The last two blocks with usage are kept.
    """

    def __init__(
        self, *, keep_usage: bool, keep_every_usage: bool = False, answers: int = 1
    ) -> None:
        """`keep_usage`: pass on the usage, one last chunk without choices. `keep_every_usage`: also
        the usage in other chunks. `answers` is the number of choices in the stream.
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
        """Number of chunks with choices, about one per token."""
        self.extra_tokens = 0
        """Estimated tokens beyond one per chunk, for long chunks without usage."""
        self.failure: PlatformError | None = None
        """Failure after the events returned last. The reader must raise it."""
        self.finished = False
        """Whether the end of the stream has been received."""

    @property
    def is_complete(self) -> bool:
        """Whether every choice has its finish reason, so that at most the end marker is missing."""
        return len(self._ended_choices) >= self._answers

    @property
    def is_between_events(self) -> bool:
        """Whether no incomplete event is buffered."""
        return not self._rest

    @property
    def progress(self) -> int:
        """Counter that grows with every part of a response, but not with comments and pings."""
        if not self._rest or self._rest[0].startswith(b":"):
            return self.events
        return self.events + self._rest_bytes

    def feed(self, data: bytes) -> bytes:
        """Return the events that `data` completes.

        Raises UpstreamBroken for an invalid stream and for failures reported in it; before the
        first chunk also the engine's rejection of the request.
        """
        if self._shape is not None and not self._rest:  # the usual case
            like = self._fast_path(self._shape, data if data.isascii() else readable(data))
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
        block = self._process_block(block)
        if self.finished:
            block = self._with_end(block)
        return block

    def close(self) -> bytes:
        """Return the remaining events at the end of the response.

        Raises UpstreamBroken if the stream is incomplete.
        """
        if self.failure is not None:
            raise self.failure
        if self.is_complete and not is_readable(data_of(b"".join(self._rest))):
            # A truncated event after the last choice has finished is not needed.
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

    def _fast_path(self, shape: ChunkShape, block: bytes) -> bytes | None:
        """Return what to send for chunks that differ from the previous one in text and numbers
        only; None for any other `block`.
        """
        beginnings = shape.beginnings_of(block)
        if beginnings is None:
            return None
        if shape.has_usage:
            self._usage_blocks = (self._usage_blocks[1], block)
        elif len(block) > LONG_CHUNK_BYTES and not self._usage_blocks[1]:
            return None  # without usage, the tokens of a long chunk have to be estimated
        self.events += len(beginnings)
        return block if self._keep_every_usage else shape.without_usage(block, beginnings)

    # Parsing.

    def _process_block(self, block: bytes) -> bytes:
        """Return `block` up to the end of the stream or the first failure."""
        good: list[bytes] = []
        for event in whole_events_of(block):
            try:
                whole = self._process_event(event)
            except PlatformError as error:
                self._shape, self.failure = (
                    None,
                    failure_in_stream(error) if self.events else failure_before_stream(error),
                )
                break
            if self.finished:
                break
            good.append(whole)
        if self.failure is not None and not any(good):
            raise self.failure
        return b"".join(good)

    def _process_event(self, event: bytes) -> bytes:
        """Return what to send for a complete event. Raises the failure that it reports."""
        if self._shape is not None and (like := self._fast_path(self._shape, event)) is not None:
            return like
        if is_plain_chunk(event):
            self._count(event)
            self._shape = ChunkShape.of(event)
        else:
            event = self._parse_event(event)
        # Searched from the end, where usage usually is.
        if event.rfind(b'"usage"') >= 0 or b'"timings"' in event:
            event = self._note_usage(event)
        return event

    def _parse_event(self, event: bytes) -> bytes:
        """As `_process_event`, for an event that is not a plain chunk."""
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
            return with_choices(data) if part.usage else b""  # a ping
        return event

    def _count(self, chunk: bytes) -> None:
        """Count a plain chunk. Raises UpstreamBroken if a long one is invalid."""
        if len(chunk) > LONG_CHUNK_BYTES and not self._usage_blocks[1]:
            self._note_length(read_chunk(chunk[len(b"data:") :]))
        self.events += 1

    def _note_length(self, part: JudgedAnswer) -> None:
        tokens = sum(map(estimate_tokens, texts_of(part)))
        self.extra_tokens += max(0, tokens - 1)

    def _complete(self, data: bytes) -> bytes:
        if b"\r" in data or (self._rest and self._rest[-1].endswith(b"\r")):
            data = self._with_plain_lines(data)
        last = self._rest[-1] if self._rest else b""
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            # Only the last buffered byte can belong to the empty line.
            end = 1 if last.endswith(b"\n") and data.startswith(b"\n") else 0
        if not end:
            self._hold_back(data)
            return b""
        block = b"".join((*self._rest, data[:end]))
        self._rest, self._rest_bytes = [], 0
        self._hold_back(data[end:])
        return block

    def _with_plain_lines(self, data: bytes) -> bytes:
        """Return `data` with LF line endings. A final CR is kept until the next byte is known."""
        if self._rest and self._rest[-1].endswith(b"\r"):
            data = self._rest.pop() + data
            self._rest_bytes = sum(map(len, self._rest))
        tail = b"\r" if data.endswith(b"\r") else b""
        text = data[: len(data) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return text + tail

    def _hold_back(self, rest: bytes) -> None:
        if not rest or (self.is_between_events and rest.isspace()):
            return  # whitespace between events
        self._rest.append(rest)
        self._rest_bytes += len(rest)
        if self._rest_bytes > MAX_UNCLEAR_EVENT_BYTES and (
            self._rest_bytes > MAX_EVENT_BYTES or not begins_as_chunk(self._rest)
        ):
            raise UpstreamBroken

    # Usage.

    def _note_usage(self, event: bytes) -> bytes:
        """Record the usage in a complete event and return what to send."""
        if b'_tokens"' in event or b'"timings"' in event:
            # Not a later `null`. The previous one is kept in case the newest is invalid.
            self._usage_blocks = (self._usage_blocks[1], event)
        if self._keep_every_usage:
            self._has_sent_usage = True
            return event
        if not NO_CHOICES.search(event):
            return without_usage(event)
        # As in OpenAI's API: clients that did not request it read `choices[0]` of every chunk.
        if not self._keep_usage:
            return b""
        self._has_sent_usage = self._has_sent_usage or b'_tokens"' in event
        return event

    def _with_end(self, block: bytes) -> bytes:
        """Return `block` as the last one, with the usage if it was requested and not sent yet."""
        if self._keep_usage and not self._has_sent_usage:
            block += self._usage_chunk()
        return block + END

    def _usage_chunk(self) -> bytes:
        """Return the recorded usage as a chunk without choices, in OpenAI's format."""
        usage = self.usage()
        if usage is None:
            return b""
        event = next(each for each in reversed(events_of(self._newest_usage())) if data_of(each))
        chunk = decoded(data_of(event))
        members = {
            name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk
        }
        counts = chunk.get("usage") or counts_of(usage)
        return b"data: %b\n\n" % msgspec.json.encode({**members, "choices": [], "usage": counts})

    def _newest_usage(self) -> bytes:
        before, newest = self._usage_blocks
        return newest if usage_in(newest) is not None else before

    def usage(self) -> Usage | None:
        """Return the last valid usage in the stream, if any."""
        return usage_in(self._newest_usage())


def usage_in(block: bytes) -> Usage | None:
    for event in reversed(events_of(block)):
        try:
            usage = read_usage(data_of(event))
        except UNREADABLE:
            continue  # [DONE], a comment, or invalid JSON
        if usage is not None:
            return usage
    return None


def without_usage(event: bytes) -> bytes:
    """Return `event`, a chunk with choices, without its usage."""
    return USAGE.sub(b"", event)


def events_of(block: bytes) -> list[bytes]:
    return [event for event in block.split(b"\n\n") if event]


def whole_events_of(block: bytes) -> list[bytes]:
    """Return each event with its empty line. A single one, which may be long, is not copied."""
    if block.find(b"\n\n") == len(block) - 2:
        return [block]
    return [event + b"\n\n" for event in events_of(block)]


def begins_as_chunk(parts: list[bytes]) -> bool:
    """Return whether an event that begins with `parts` may become a chunk."""
    beginning = b""
    for part in parts:
        beginning += part[: MAX_BEGINNING_BYTES - len(beginning)]
        if len(beginning) == MAX_BEGINNING_BYTES:
            break
    return b'"choices"' in beginning and OBJECT_BEGINS.match(beginning) is not None


def data_of(event: bytes) -> bytes:
    """Return the data lines of an event, joined; empty for comments."""
    if event.startswith(b"data:") and b"\n" not in event.rstrip(b"\n"):
        return event[len(b"data:") :].strip()
    lines = event.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    found = (line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:"))
    return b"\n".join(found)


def is_plain_chunk(block: bytes) -> bool:
    """Return whether `block`, of complete events, is certainly a single chunk without a finish
    reason or error. All others are decoded.
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
    """Return whether `data` is the end of a stream or valid JSON."""
    if data == DONE:
        return True
    try:
        msgspec.json.decode(data)
    except UNREADABLE:
        return False
    return True


def failure_in_stream(error: PlatformError) -> PlatformError:
    """Return the error for a failure after the first chunk: never about the request."""
    return error if isinstance(error, UpstreamBroken) else UpstreamBroken()


def failure_before_stream(error: PlatformError) -> PlatformError:
    """Return the error for a failure before the first chunk: a rejection or overload is kept."""
    return failure_in_stream(error) if isinstance(error, UpstreamError) else error


def with_choices(data: bytes) -> bytes:
    """Return a chunk that has usage only with an empty list of choices, as clients expect."""
    chunk = decoded(data)
    return b"data: %b\n\n" % msgspec.json.encode({**chunk, "choices": []})


def failure_in_line(event: bytes) -> PlatformError:
    """Return the failure of an error event, whose data is an error object or a text."""
    lines = event.split(b"\n")
    text = data_of(event) or b"".join(
        line.removeprefix(b"error:") for line in lines if line.startswith(b"error:")
    )
    try:
        read_chunk(b'{"error":%b}' % (text.strip() or b"1"))
    except PlatformError as error:
        return error
    return UpstreamBroken()
