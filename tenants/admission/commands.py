"""Calls of scripts as bytes for Redis. By hand, since most of an admission is known beforehand.

A call is EVALSHA; the same call as EVAL, with the script's text, is for a Redis that does not know
the script yet.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tenants.admission.scripts import Script


class Call(NamedTuple):
    """A script call, ready to be written, and the word by which its answer is recognised."""

    script: Script
    tag: bytes
    packed: bytes

    def with_text(self) -> bytes:
        """The same call, for a Redis that does not know the script."""
        return self.packed.replace(by_name(self.script), by_text(self.script), 1)


def bulk(value: bytes) -> bytes:
    """One argument."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def by_name(script: Script) -> bytes:
    return bulk(b"EVALSHA") + bulk(script.sha.encode())


def by_text(script: Script) -> bytes:
    return bulk(b"EVAL") + bulk(script.text.encode())


def call_head(script: Script, keys: Sequence[str], *, arguments: int) -> bytes:
    """A call up to its keys; so many arguments must follow, each as `bulk`."""
    count = 3 + len(keys) + arguments
    named = b"".join(bulk(key.encode()) for key in keys)
    return b"*%d\r\n%b%b%b" % (count, by_name(script), bulk(b"%d" % len(keys)), named)


def pack_call(script: Script, keys: Sequence[str], tag: bytes, arguments: Sequence[bytes]) -> Call:
    """A whole call whose first argument is its tag."""
    head = call_head(script, keys, arguments=1 + len(arguments))
    return Call(script, tag, head + bulk(tag) + b"".join(map(bulk, arguments)))
