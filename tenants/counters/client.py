"""A synchronous client of the Redis with the limits."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import redis
from django.conf import settings

from kernel.storage.redis import connect
from tenants.admission.redis_counters.resp import is_unknown
from tenants.admission.redis_counters.scripts import Script

TIMEOUT_SECONDS = 0.5
"""Short, because pages can be displayed without the numbers."""


@cache
def client(url: str) -> redis.Redis:
    return connect(url, timeout=TIMEOUT_SECONDS)


def limits() -> redis.Redis:
    """Return the client of this process. Its commands raise RedisError."""
    return client(settings.REDIS_LIMITS_URL)


def run(script: Script, keys: Sequence[str], *arguments: Any) -> list[Any]:
    """Call a script; load its library first if Redis does not have it. Raises RedisError."""
    call = partial(limits().fcall, script.function, len(keys), *keys, script.name, *arguments)
    try:
        reply: Any = call()
    except redis.ResponseError as error:
        if not is_unknown(error):
            raise
        limits().function_load(script.library, replace=True)
        reply = call()
    return list(reply)
