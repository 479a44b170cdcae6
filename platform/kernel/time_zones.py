"""Names of time zones that may be chosen."""

from functools import cache
from zoneinfo import available_timezones

NO_PLACES = frozenset({"Factory", "localtime"})
"""Entries of the database for an unset zone and for the local zone of the machine."""


def is_time_zone(name: str) -> bool:
    """Return whether `name` is an IANA name with the same meaning on every machine."""
    return name in time_zones()


@cache
def time_zones() -> frozenset[str]:
    """Return the names, cached because Python reads a thousand files to find them."""
    return frozenset(available_timezones() - NO_PLACES)
