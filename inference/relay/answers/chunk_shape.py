"""A fast path for streams: most chunks differ from the previous one in text and numbers only.

A chunk that begins and ends with the same bytes as a parsed one, and has no other quote between,
has the same members. So most chunks cost a few comparisons and are not searched.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

TEXT_BEGINS: Final = re.compile(rb'"delta":\s?\{"[a-z_]+":\s?"')
NO_NUMBERS: Final = re.compile(rb',\s?"usage":\s?null')
NUMBERS: Final = re.compile(rb'"(?:usage|timings)":\s?\{')
USAGE_BEGINS: Final = b',"usage":{'
"""Usage as vLLM writes it with every chunk: the last member, without a nested object."""
USAGE_ENDS: Final = b"}}\n\n"
ENDS: Final = b"}\n\n"


@dataclass(frozen=True, slots=True)  # a named tuple's members are slower to read
class ChunkShape:
    """The constant bytes of a chunk: all but its text and the numbers of its usage."""

    before: bytes
    """Bytes up to and with the opening quote of the text."""
    behind: bytes
    """Bytes from the closing quote of the text to the end or the usage."""
    stripped: bytes
    """`behind` without a usage, to the end; sent to clients that did not request the usage."""
    has_usage: bool

    @classmethod
    def of(cls, chunk: bytes) -> Self | None:
        """Return the shape of `chunk`, one event; None if its delta does not begin with a text, or
        if its usage is not in vLLM's format.
        """
        text = TEXT_BEGINS.search(chunk)
        quote = chunk.find(b'"', text.end()) if text else -1
        if text is None or quote < 0:
            return None
        before, behind = chunk[: text.end()], chunk[quote:]
        usage = behind.find(USAGE_BEGINS)
        if usage >= 0:
            behind = behind[: usage + len(USAGE_BEGINS)]
            shape = cls(before, behind, behind[:usage] + ENDS, has_usage=True)
            is_sure = not NUMBERS.search(before + behind[:usage])
            return shape if is_sure and shape.beginnings_of(chunk) else None
        if NUMBERS.search(before + behind) or NO_NUMBERS.search(before):
            return None
        return cls(before, behind, NO_NUMBERS.sub(b"", behind), has_usage=False)

    def beginnings_of(self, block: bytes) -> list[bytes] | None:
        """Return the chunks of `block`, each up to the end of its text; None unless all of them
        have this shape.
        """
        before, behind = self.before, self.behind
        beginnings, at, end = [], 0, len(block)
        while True:
            quote = block.find(b'"', at + len(before))
            if not (block.startswith(before, at) and block.startswith(behind, quote)):
                return None
            beginnings.append(block[at:quote])
            at = quote + len(behind)
            if self.has_usage:
                # The first bracket ends the usage: it has no nested object and is the last member.
                at = block.find(b"}", at)
                if not block.startswith(USAGE_ENDS, at):
                    return None
                at += len(USAGE_ENDS)
            if at == end:
                return beginnings

    def without_usage(self, block: bytes, beginnings: list[bytes]) -> bytes:
        """Return `block`, whose chunks have these beginnings, without the usage."""
        if self.stripped is self.behind:
            return block
        return self.stripped.join(beginnings) + self.stripped
