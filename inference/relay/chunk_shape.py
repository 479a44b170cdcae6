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
            is_sure = not NUMBERS.search(before + behind[:usage])
            return shape if is_sure and shape.without_numbers(chunk) else None
        if NUMBERS.search(before + behind) or NO_NUMBERS.search(before):
            return None
        return cls(before, behind, NO_NUMBERS.sub(b"", behind), has_usage=False)

    def without_numbers(self, block: bytes) -> tuple[int, bytes] | None:
        """How many chunks of this shape, which is one with a usage, are in `block`, and the same
        without it. None if `block` holds anything else.
        """
        before, behind = self.before, self.behind
        texts, at = [], 0
        while at < len(block):
            quote = block.find(b'"', at + len(before))
            end = block.find(b"}", quote + len(behind))
            if not (
                block.startswith(before, at)
                and block.startswith(behind, quote)
                and block.startswith(USAGE_ENDS, end)
            ):
                return None
            texts.append(block[at:quote])
            at = end + len(USAGE_ENDS)
        return len(texts), self.shown.join(texts) + self.shown

    def texts_of(self, block: bytes) -> list[bytes] | None:
        """The texts of a block of chunks that all have this shape, which is one without a usage.
        None for any other block.
        """
        before, behind = self.before, self.behind
        last = len(block) - len(behind)
        if last < len(before) or not block.startswith(before) or not block.endswith(behind):
            return None
        inner = block[len(before) : last]
        if b'"' not in inner:
            return [inner]  # most often: engines write chunk by chunk
        texts = inner.split(behind + before)
        quotes = (behind.count(b'"') + before.count(b'"')) * (len(texts) - 1)
        return texts if inner.count(b'"') == quotes else None

    def without_usage(self, block: bytes) -> bytes:
        """`block`, whose chunks all have this shape without numbers, as those get it who did not
        ask for a usage.
        """
        return block if self.shown is self.behind else block.replace(self.behind, self.shown)
