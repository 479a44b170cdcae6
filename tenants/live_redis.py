"""The Redis of the limits, for synchronous code."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import redis
from django.conf import settings

from kernel.redis import connect
from tenants.admission.scripts import Script

PATIENCE_SECONDS = 0.5
"""A page would rather say that it does not know."""


@cache
def client(url: str) -> redis.Redis:
    return connect(url, timeout=PATIENCE_SECONDS)


def limits() -> redis.Redis:
    """A client that is shared by the process. Its commands raise RedisError."""
    return client(settings.REDIS_LIMITS_URL)


def run(script: Script, keys: Sequence[str], *arguments: Any) -> list[Any]:
    """An answer of a script, which is loaded first where it is not known. Raises RedisError."""
    reply: list[Any] = limits().register_script(script.text)(keys, [script.name, *arguments])
    return reply
