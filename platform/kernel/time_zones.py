"""Names of time zones that people may choose."""

from zoneinfo import available_timezones

NO_PLACES = frozenset({"Factory", "localtime"})
"""Entries of the database that stand for "not set" and for the zone of whichever machine asks."""


def is_time_zone(name: str) -> bool:
    """Whether it is an IANA name that means the same on every machine."""
    return name not in NO_PLACES and name in available_timezones()
