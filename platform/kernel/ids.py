"""Identifiers: short public ids in base 62, and time-ordered ids of requests."""

import os
import secrets
import string
import time

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in ASCII order, so that encoded numbers of one length sort as the numbers do."""
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""Two digits at a time halve the divisions: every request has a checksum to make."""
BASE_SQUARED = len(PAIRS)


def encode_base62(number: int, *, length: int) -> str:
    """`number` in base 62, zero-padded to `length`. Raises ValueError if it does not fit."""
    digits = ""
    rest = number
    for _ in range(0, length, 2):
        rest, pair = divmod(rest, BASE_SQUARED)
        digits = PAIRS[pair] + digits
    if rest or number < 0 or digits[:-length].strip("0"):
        raise ValueError(f"{number} does not fit {length} base-62 digits")
    return digits[-length:]


def new_public_id(length: int = 12) -> str:
    """A random id that says nothing about how many there are. 12 digits hold 71 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_id(prefix: str) -> str:
    """A unique id that sorts by time of creation: microseconds since 1970, then 64 random bits."""
    # Hexadecimal, because this is made for every request and Python makes it in C.
    return f"{prefix}_{time.time_ns() // 1000:014x}{os.urandom(8).hex()}"


def new_request_id() -> str:
    """The id under which one request is metered. Never taken from the client (ADR 0004)."""
    return new_id("req")
