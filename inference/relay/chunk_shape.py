"""The chunks of one stream differ in their text only: what one has proved holds for the next.

A chunk that begins and ends with the bytes of one that was looked through, and has no other quote
between, has the same members. So most chunks cost a few comparisons and are not searched.
"""

import re
from typing import Final, NamedTuple, Self

TEXT_BEGINS: Final = re.compile(rb'"delta":\s?\{"[a-z_]+":\s?"')
NO_NUMBERS: Final = re.compile(rb',\s?"usage":\s?null')
NUMBERS: Final = re.compile(rb'"(?:usage|timings)":\s?\{')
USAGE_BEGINS: Final = b',"usage":{'
"""As vLLM writes it, with every chunk: the last member, and without an object inside."""
USAGE_ENDS: Final = b"}}\n\n"
ENDS: Final = b"}\n\n"


class ChunkShape(NamedTuple):
    """All of a chunk but its text and the numbers of its usage."""

    before: bytes
    """Up to the quote in front of the text."""
    behind: bytes
    """From the quote behind the text, to the usage if there is one."""
    shown: bytes
    """The same without a usage that is null: what clients get who did not ask for it."""
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
            is_sure = not NUMBERS.search(before + behind[:usage]) and shape.fits(chunk)
            return shape if is_sure else None
        if NUMBERS.search(before + behind) or NO_NUMBERS.search(before):
            return None
        return cls(before, behind, NO_NUMBERS.sub(b"", behind), has_usage=False)

    def fits(self, chunk: bytes) -> bool:
        """Whether `chunk` has this shape."""
        if not chunk.startswith(self.before):
            return False
        quote = chunk.find(b'"', len(self.before))
        if not self.has_usage:
            return quote == len(chunk) - len(self.behind) and chunk.endswith(self.behind)
        numbers = quote + len(self.behind)
        return (
            chunk.startswith(self.behind, quote)
            and chunk.find(b"}", numbers) == len(chunk) - len(USAGE_ENDS)
            and chunk.endswith(USAGE_ENDS)
        )

    def without_usage(self, chunk: bytes) -> bytes:
        """`chunk`, which fits, without its usage."""
        if self.shown is self.behind:
            return chunk
        return chunk[: chunk.find(b'"', len(self.before))] + self.shown
