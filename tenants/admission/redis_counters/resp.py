"""Encoding of script calls in RESP, so that constant parts are encoded only once."""

from collections.abc import Sequence
from typing import NamedTuple

from redis.exceptions import ResponseError

from tenants.admission.redis_counters.scripts import Script


class RedisCall(NamedTuple):
    """An encoded script call, and the tag that its response must have."""

    script: Script
    tag: bytes
    packed: bytes


def bulk(value: bytes) -> bytes:
    """Encode one argument."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def packed_text(text: bytes) -> bytes:
    """Encode a text of up to 64 KiB as MessagePack `str 16`, so that Redis need not pack it."""
    return b"\xda%b%b" % (len(text).to_bytes(2), text)


def pack_words(*words: bytes) -> bytes:
    """Encode a command."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def by_name(script: Script) -> bytes:
    return bulk(b"FCALL") + bulk(script.function.encode())


def loading(script: Script) -> bytes:
    """Return the command that loads the library of a script, replacing an existing one."""
    return pack_words(b"FUNCTION", b"LOAD", b"REPLACE", script.library.encode())


def is_unknown(answer: object) -> bool:
    """Return whether a response says that the script is not loaded."""
    return isinstance(answer, ResponseError) and str(answer) == "Function not found"


def call_head(script: Script, keys: Sequence[str], *, arguments: int) -> bytes:
    """Encode a call up to its keys; so many arguments must follow, each encoded by `bulk`."""
    count = 3 + len(keys) + arguments
    named = b"".join(bulk(key.encode()) for key in keys)
    return b"*%d\r\n%b%b%b" % (count, by_name(script), bulk(b"%d" % len(keys)), named)


def pack_call(
    script: Script, keys: Sequence[str], tag: bytes, arguments: Sequence[bytes]
) -> RedisCall:
    """Encode a call whose first argument is its tag."""
    head = call_head(script, keys, arguments=1 + len(arguments))
    return RedisCall(script, tag, head + bulk(tag) + b"".join(map(bulk, arguments)))
