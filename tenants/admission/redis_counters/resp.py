"""Calls of scripts as bytes for Redis. By hand, since most of an admission is known beforehand."""

from collections.abc import Sequence
from typing import NamedTuple

from redis.exceptions import ResponseError

from tenants.admission.redis_counters.scripts import Script


class Call(NamedTuple):
    """A script call, ready to be written, and the word by which its answer is recognised."""

    script: Script
    tag: bytes
    packed: bytes


def bulk(value: bytes) -> bytes:
    """One argument."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def packed_text(text: bytes) -> bytes:
    """A text of up to 64 KiB as MessagePack, so that Redis need not pack it (format `str 16`)."""
    return b"\xda%b%b" % (len(text).to_bytes(2), text)


def pack_words(*words: bytes) -> bytes:
    """A command as Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def by_name(script: Script) -> bytes:
    return bulk(b"FCALL") + bulk(script.function.encode())


def loading(script: Script) -> bytes:
    """For a Redis that does not know the script yet. May be said again."""
    return pack_words(b"FUNCTION", b"LOAD", b"REPLACE", script.library.encode())


def is_unknown(answer: object) -> bool:
    """Whether Redis says that it does not know the script."""
    return isinstance(answer, ResponseError) and str(answer) == "Function not found"


def call_head(script: Script, keys: Sequence[str], *, arguments: int) -> bytes:
    """A call up to its keys; so many arguments must follow, each as `bulk`."""
    count = 3 + len(keys) + arguments
    named = b"".join(bulk(key.encode()) for key in keys)
    return b"*%d\r\n%b%b%b" % (count, by_name(script), bulk(b"%d" % len(keys)), named)


def pack_call(script: Script, keys: Sequence[str], tag: bytes, arguments: Sequence[bytes]) -> Call:
    """A whole call whose first argument is its tag."""
    head = call_head(script, keys, arguments=1 + len(arguments))
    return Call(script, tag, head + bulk(tag) + b"".join(map(bulk, arguments)))
