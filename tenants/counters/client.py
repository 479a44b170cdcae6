"""The Redis of the limits, for synchronous code."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import redis
from django.conf import settings

from kernel.storage.redis import connect
from tenants.admission.redis_counters.resp import is_unknown
from tenants.admission.redis_counters.scripts import Script

TIMEOUT_SECONDS = 0.5
"""A page would rather say that it does not know."""


@cache
def client(url: str) -> redis.Redis:
    return connect(url, timeout=TIMEOUT_SECONDS)


def limits() -> redis.Redis:
    """A client that is shared by the process. Its commands raise RedisError."""
    return client(settings.REDIS_LIMITS_URL)


def run(script: Script, keys: Sequence[str], *arguments: Any) -> list[Any]:
    """An answer of a script, which is loaded first where it is not known. Raises RedisError."""
    call = partial(limits().fcall, script.function, len(keys), *keys, script.name, *arguments)
    try:
        reply: Any = call()
    except redis.ResponseError as error:
        if not is_unknown(error):
            raise
        limits().function_load(script.library, replace=True)
        reply = call()
    return list(reply)
