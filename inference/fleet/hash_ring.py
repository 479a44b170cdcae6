"""A consistent hash ring: a key maps to the same node, and removing a node moves only its keys.

Source: Karger et al., "Consistent Hashing and Random Trees" (1997).
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

POINTS_PER_NODE = 104
"""Number of points per node; more make the shares more even."""
POSITION_BYTES = 8
POSITIONS_PER_DIGEST = 8
"""Number of positions in one digest of maximum length."""
MAX_CACHED_RINGS = 64
MAX_CACHED_NAMES = 8192


def position(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=POSITION_BYTES).digest())


@lru_cache(maxsize=MAX_CACHED_NAMES)
def points_of(name: str) -> tuple[int, ...]:
    """Return the positions of a node. Cached, because a change of the nodes needs a new ring."""
    digests = (
        blake2b(
            f"{name}#{number}".encode(), digest_size=POSITION_BYTES * POSITIONS_PER_DIGEST
        ).digest()
        for number in range(POINTS_PER_NODE // POSITIONS_PER_DIGEST)
    )
    return tuple(
        int.from_bytes(digest[start : start + POSITION_BYTES])
        for digest in digests
        for start in range(0, POSITION_BYTES * POSITIONS_PER_DIGEST, POSITION_BYTES)
    )


class HashRing:
    """Nodes on a ring."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._shift = len(self._names).bit_length()
        # Position and node in one integer, because integers sort fastest.
        self._points = sorted(
            point << self._shift | node
            for node, name in enumerate(self._names)
            for point in points_of(name)
        )

    def walk(self, key: bytes) -> Iterator[str]:
        """Yield each name once, nearest to `key` first."""
        points, mask = self._points, (1 << self._shift) - 1
        start = bisect(points, position(key) << self._shift)
        seen: set[int] = set()
        for step in range(len(points)):
            node = points[(start + step) % len(points)] & mask
            if node not in seen:
                seen.add(node)
                yield self._names[node]
                if len(seen) == len(self._names):
                    return


@lru_cache(maxsize=MAX_CACHED_RINGS)
def ring_of(names: tuple[str, ...]) -> HashRing:
    """Return the ring of these nodes. Cached, because excluded endpoints stay on the ring."""
    return HashRing(names)
