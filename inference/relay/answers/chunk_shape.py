"""The chunks of one stream differ in their texts and numbers only: what one proved holds for all.

A chunk that begins and ends with the bytes of one that was looked through, and has no other quote
between, has the same members. So most chunks cost a few comparisons and are not searched.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

TEXT_BEGINS: Final = re.compile(rb'"delta":\s?\{"[a-z_]+":\s?"')
NO_NUMBERS: Final = re.compile(rb',\s?"usage":\s?null')
NUMBERS: Final = re.compile(rb'"(?:usage|timings)":\s?\{')
USAGE_BEGINS: Final = b',"usage":{'
"""As vLLM writes it, with every chunk: the last member, and without an object inside."""
USAGE_ENDS: Final = b"}}\n\n"
ENDS: Final = b"}\n\n"


@dataclass(frozen=True, slots=True)  # a named tuple's members are slower to read
class ChunkShape:
    """All of a chunk but its text and the numbers of its usage."""

    before: bytes
    """Up to the quote in front of the text."""
    behind: bytes
    """From the quote behind the text, to the usage if there is one."""
    shown: bytes
    """The same, to the end, without a usage: what clients get who did not ask for it."""
    has_usage: bool

    @classmethod
    def of(cls, chunk: bytes) -> Self | None:
        """The shape of `chunk`, one event; None if its delta does not begin with a text, or if it
        has numbers in another way than vLLM.
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
        """The chunks of a block that all have this shape, each up to the end of its text. None for
        any other block.
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
                # The first bracket ends it: nothing else stands in it, or behind it.
                at = block.find(b"}", at)
                if not block.startswith(USAGE_ENDS, at):
                    return None
                at += len(USAGE_ENDS)
            if at == end:
                return beginnings

    def without_usage(self, block: bytes, beginnings: list[bytes]) -> bytes:
        """`block`, whose chunks begin so, as those get it who did not ask for a usage."""
        if self.shown is self.behind:
            return block
        return self.shown.join(beginnings) + self.shown
