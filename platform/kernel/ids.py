"""Identifiers: short public ids in base 62, and time-ordered ids of requests."""

import os
import secrets
import string
import time

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in ASCII order, so that encoded numbers of one length sort as the numbers do."""
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""Pairs of digits, which halve the number of divisions per checksum."""
BASE_SQUARED = len(PAIRS)


def encode_base62(number: int, *, length: int) -> str:
    """Return `number` in base 62, zero-padded to `length`. Raises ValueError if it does not fit."""
    digits = ""
    rest = number
    for _ in range(0, length, 2):
        rest, pair = divmod(rest, BASE_SQUARED)
        digits = PAIRS[pair] + digits
    if rest or number < 0 or digits[:-length].strip("0"):
        raise ValueError(f"{number} does not fit {length} base-62 digits")
    return digits[-length:]


def new_public_id(length: int = 12) -> str:
    """Return a random id, which does not reveal the number of ids. 12 digits have 71 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_id(prefix: str) -> str:
    """Return a unique id, sorted by creation: microseconds since 1970, then 64 random bits."""
    # Hexadecimal, because every request needs an id and Python formats it in C.
    return f"{prefix}_{time.time_ns() // 1000:014x}{os.urandom(8).hex()}"


def new_request_id() -> str:
    """Return the id of one metered request. It never comes from the client (ADR 0004)."""
    return new_id("req")
