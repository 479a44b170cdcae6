"""A hash ring: the same key leads to the same place, and a place that goes moves only its own keys.

Source: Karger et al., "Consistent Hashing and Random Trees" (1997).
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

POINTS = 104
"""Of each place on the ring; more make the shares more even."""
WIDTH = 8
"""Bytes of a position."""
AT_ONCE = 8
"""Positions in the longest digest that there is."""
RINGS = 64
KNOWN_NAMES = 8192


def position(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=WIDTH).digest())


@lru_cache(maxsize=KNOWN_NAMES)
def points_of(name: str) -> tuple[int, ...]:
    """Where a place stands. Kept, because rings are made anew when any of their places goes."""
    digests = (
        blake2b(f"{name}#{number}".encode(), digest_size=WIDTH * AT_ONCE).digest()
        for number in range(POINTS // AT_ONCE)
    )
    return tuple(
        int.from_bytes(digest[start : start + WIDTH])
        for digest in digests
        for start in range(0, WIDTH * AT_ONCE, WIDTH)
    )


class HashRing:
    """Places in the order in which a key would try them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._shift = len(self._names).bit_length()
        # One number for a position and who stands there: numbers are sorted fastest.
        self._points = sorted(
            point << self._shift | place
            for place, name in enumerate(self._names)
            for point in points_of(name)
        )

    def walk(self, key: bytes) -> Iterator[str]:
        """Each name once, nearest first."""
        points, mask = self._points, (1 << self._shift) - 1
        start = bisect(points, position(key) << self._shift)
        seen: set[int] = set()
        for step in range(len(points)):
            place = points[(start + step) % len(points)] & mask
            if place not in seen:
                seen.add(place)
                yield self._names[place]
                if len(seen) == len(self._names):
                    return


@lru_cache(maxsize=RINGS)
def ring_of(names: tuple[str, ...]) -> HashRing:
    """The ring of these places, made once: they stay the same when some of them are left out."""
    return HashRing(names)
