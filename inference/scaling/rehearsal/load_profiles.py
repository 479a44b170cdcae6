"""Synthetic loads: a sale, a daily wave, a spike, a ramp. Pure.

Each is in requests a second, a step of the rehearsal apart, around an ordinary load.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inference.scaling.rehearsal.simulation import SECONDS, Moment

HOUR = 3600.0
DAY = 24 * HOUR


class Shape(NamedTuple):
    """A load by the time of the rehearsal."""

    label: str
    explains: str
    seconds: float
    factor: Callable[[float], float]
    """How many times the ordinary load there is, so many seconds after the beginning."""


def sale(at: float) -> float:
    """Tenfold from the ninth hour for four hours, after a quarter of an hour of growing."""
    begins, ends = 9 * HOUR, 13 * HOUR
    if at < begins or at > ends + HOUR:
        return 1.0
    rising = min(1.0, (at - begins) / (HOUR / 4))
    falling = min(1.0, max(0.0, (ends + HOUR - at) / HOUR))
    return 1 + 9 * min(rising, falling)


def wave(at: float) -> float:
    """Quiet at four in the morning, busy at four in the afternoon."""
    return 1 + 0.9 * math.sin(2 * math.pi * (at / DAY - 10 / 24))


def spike(at: float) -> float:
    """Out of nothing twelvefold for five minutes, every four hours."""
    return 12.0 if at % (4 * HOUR) > 4 * HOUR - 300 else 1.0


def ramp(at: float) -> float:
    """A little more each hour, sixfold after two days."""
    return 1 + 5 * at / (2 * DAY)


SHAPES: Mapping[str, Shape] = {
    "sale": Shape("Tenfold sale", "Ten times as much for four hours of a day.", DAY, sale),
    "wave": Shape("Daily wave", "Three days, quiet at night and busy in the day.", 3 * DAY, wave),
    "spike": Shape("Spikes", "Twelve times as much for five minutes, now and then.", DAY, spike),
    "leak": Shape("Ramp", "Two days in which the load grows sixfold.", 2 * DAY, ramp),
}


def moments_of(shape: Shape, *, ordinary: float, begins: float) -> list[Moment]:
    """`ordinary` is in requests a second; `begins` in seconds since 1970."""
    return [
        Moment(at=begins + SECONDS * step, arrivals=ordinary * shape.factor(SECONDS * step))
        for step in range(int(shape.seconds / SECONDS))
    ]
