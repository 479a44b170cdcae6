"""Identifiers: short public ids in base 62, and time-ordered ids of requests."""

import secrets
import string
import time

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in ASCII order, so that encoded numbers of one length sort as the numbers do."""


def encode_base62(number: int, *, length: int) -> str:
    """`number` in base 62, zero-padded to `length`. Raises ValueError if it does not fit."""
    digits = ""
    rest = number
    for _ in range(length):
        rest, digit = divmod(rest, 62)
        digits = ALPHABET[digit] + digits
    if rest or number < 0:
        raise ValueError(f"{number} does not fit {length} base-62 digits")
    return digits


def new_public_id(length: int = 12) -> str:
    """A random id that says nothing about how many there are. 12 digits hold 71 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_id(prefix: str) -> str:
    """A unique id that sorts by time of creation: microseconds since 1970, then 77 random bits."""
    micros = time.time_ns() // 1000
    stamp = encode_base62(micros, length=9)
    return f"{prefix}_{stamp}{encode_base62(secrets.randbits(77), length=13)}"


def new_request_id() -> str:
    """The id under which one request is metered. Never taken from the client (ADR 0004)."""
    return new_id("req")
