"""A hash ring: the same key leads to the same place, and a place that goes moves only its own keys.

Source: Karger et al., "Consistent Hashing and Random Trees" (1997).
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from hashlib import blake2b

POINTS = 100
"""Of each place on the ring; more make the shares more even."""


def position(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest())


class HashRing:
    """Places in the order in which a key would try them."""

    def __init__(self, names: Sequence[str]) -> None:
        points = sorted(
            (position(f"{name}#{number}".encode()), place)
            for place, name in enumerate(names)
            for number in range(POINTS)
        )
        self._positions = [point for point, _ in points]
        self._places = [place for _, place in points]
        self._count = len(names)

    def walk(self, key: bytes) -> Iterator[int]:
        """Each place once, as numbers in `names`, nearest first."""
        start = bisect(self._positions, position(key))
        seen: set[int] = set()
        for step in range(len(self._places)):
            place = self._places[(start + step) % len(self._places)]
            if place not in seen:
                seen.add(place)
                yield place
                if len(seen) == self._count:
                    return
