"""Server-sent events as bytes: forwarded whole, looked into as little as possible.

Source: the WHATWG HTML standard, "Server-sent events"; events end with an empty line.
"""

import re

from inference.errors import UpstreamBroken
from inference.relay.usage import UNREADABLE, read_usage
from tenants.admission.usage import Usage

LONGEST_EVENT = 1024 * 1024
DONE = (b"data: [DONE]\n\n", b"data:[DONE]\n\n")
CHUNKS = (b'data: {"id":', b'data: {"object":', b'data: {"choices":')
"""How chunks begin, as engines write them. What begins so is no failure."""
NO_CHOICES = re.compile(rb'"choices":\s?\[\]')
USAGE = re.compile(rb',\s?"(?:usage|timings)":\s?(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
"""Inside a string the quotes would be escaped, so this finds the member and nothing else."""
ERROR = re.compile(
    rb'^(?:error:|event: ?error\b|data: ?\{\s*"error"\s*:\s*+(?!null))', re.MULTILINE | re.ASCII
)
"""How engines begin the line that tells a failure. A model's own line breaks are escaped."""


class EventStream:
    """Turns what arrives from an engine into what is sent to the client.

    Only complete events leave `feed`. Of the last one that holds usage a copy is kept.
    """

    def __init__(self, *, keep_usage: bool) -> None:
        """`keep_usage`: the client asked for the chunk that holds only the usage."""
        self._keep_usage = keep_usage
        self._rest = b""
        self._usage_block = b""
        self.events = 0
        """Chunks of the answer, about one a token."""
        self.finished = False
        """Whether the engine said that this was all."""

    def feed(self, data: bytes) -> bytes:
        """The complete events up to here. Raises UpstreamBroken for what is no event stream."""
        block = self._complete(data)
        if not block:
            return b""
        if is_one_chunk(block):
            self.events += 1
        else:
            self._look_through(block)
        # From its end, where usage stands nearly always.
        if block.rfind(b'"usage"') >= 0 or b'"timings"' in block:
            block = self._note_usage(block)
        return block

    def _look_through(self, block: bytes) -> None:
        if block.endswith(DONE):
            self.finished = True
        if b"error" in block and ERROR.search(block):
            raise UpstreamBroken
        self.events += block.count(b"data: {") + block.count(b"data:{")

    def _complete(self, data: bytes) -> bytes:
        if not self._rest and data.endswith(b"\n\n") and b"\r" not in data:
            return data  # nearly always: engines write whole events
        text = (self._rest + data).replace(b"\r\n", b"\n")
        end = text.rfind(b"\n\n") + 2
        if end == 1:
            self._rest = self._bounded(text)
            return b""
        self._rest = self._bounded(text[end:])
        return text[:end]

    @staticmethod
    def _bounded(rest: bytes) -> bytes:
        if len(rest) > LONGEST_EVENT:
            raise UpstreamBroken
        return rest

    def _note_usage(self, block: bytes) -> bytes:
        self._usage_block = block
        if self._keep_usage:
            return block
        # As in OpenAI's API: clients that did not ask read `choices[0]` of every chunk.
        if NO_CHOICES.search(block):
            kept = (event for event in events_of(block) if not NO_CHOICES.search(event))
            block = b"".join(event + b"\n\n" for event in kept)
        return USAGE.sub(b"", block)

    def usage(self) -> Usage | None:
        """The last usage that the engine sent, if any."""
        for event in reversed(events_of(self._usage_block)):
            try:
                usage = read_usage(event.removeprefix(b"data:"))
            except UNREADABLE:
                continue  # [DONE], a comment, or garbage that the client may make of what it can
            if usage is not None:
                return usage
        return None


def events_of(block: bytes) -> list[bytes]:
    return [event for event in block.split(b"\n\n") if event]


def is_one_chunk(block: bytes) -> bool:
    """Whether `block`, which is whole events, is certainly a single chunk of an answer."""
    return block.startswith(CHUNKS) and block.find(b"\n") == len(block) - 2
