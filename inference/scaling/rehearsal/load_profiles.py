"""Synthetic loads: a sale, a daily wave, spikes, a ramp. Pure.

Each profile multiplies a base rate in requests per second, for each step of a rehearsal.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inference.scaling.rehearsal.simulation import STEP_SECONDS, Moment

HOUR = 3600.0
DAY = 24 * HOUR


class LoadProfile(NamedTuple):
    """A load as a function of the time since the start of the rehearsal."""

    label: str
    explains: str
    seconds: float
    factor: Callable[[float], float]
    """The multiple of the base rate, by the seconds since the start."""


def sale(at: float) -> float:
    """Rise tenfold from the ninth hour for four hours, within 15 minutes."""
    begins, ends = 9 * HOUR, 13 * HOUR
    if at < begins or at > ends + HOUR:
        return 1.0
    rising = min(1.0, (at - begins) / (HOUR / 4))
    falling = min(1.0, max(0.0, (ends + HOUR - at) / HOUR))
    return 1 + 9 * min(rising, falling)


def wave(at: float) -> float:
    """Follow a sine with its minimum at 04:00 and its maximum at 16:00."""
    return 1 + 0.9 * math.sin(2 * math.pi * (at / DAY - 10 / 24))


def spike(at: float) -> float:
    """Jump twelvefold for five minutes, every four hours."""
    return 12.0 if at % (4 * HOUR) > 4 * HOUR - 300 else 1.0


def ramp(at: float) -> float:
    """Rise linearly, sixfold after two days."""
    return 1 + 5 * at / (2 * DAY)


LOAD_PROFILES: Mapping[str, LoadProfile] = {
    "sale": LoadProfile(
        "Tenfold sale", "Ten times the base rate for four hours of a day.", DAY, sale
    ),
    "wave": LoadProfile(
        "Daily wave", "Three days with a low load at night and a high load by day.", 3 * DAY, wave
    ),
    "spike": LoadProfile(
        "Spikes", "Twelve times the base rate for five minutes, every four hours.", DAY, spike
    ),
    "ramp": LoadProfile("Ramp", "A load that grows sixfold in two days.", 2 * DAY, ramp),
}


def moments_of(profile: LoadProfile, *, base_request_rate: float, begins: float) -> list[Moment]:
    """Return the load per step; `base_request_rate` is in requests per second."""
    return [
        Moment(
            at=begins + STEP_SECONDS * step,
            arrivals=base_request_rate * profile.factor(STEP_SECONDS * step),
        )
        for step in range(int(profile.seconds / STEP_SECONDS))
    ]
