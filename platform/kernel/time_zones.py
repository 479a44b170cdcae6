"""Names of time zones that people may choose."""

from functools import cache
from zoneinfo import available_timezones

NO_PLACES = frozenset({"Factory", "localtime"})
"""Entries of the database that stand for "not set" and for the zone of whichever machine asks."""


def is_time_zone(name: str) -> bool:
    """Whether it is an IANA name that means the same on every machine."""
    return name in time_zones()


@cache
def time_zones() -> frozenset[str]:
    """Those names. Python reads a thousand files to find them."""
    return frozenset(available_timezones() - NO_PLACES)
