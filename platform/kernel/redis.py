"""The one place where Redis (or Valkey) clients are made, so that all have the same manners."""

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 2.0
"""For everything that is not on the path of a request; that path sets its own."""


def connect(url: str, *, timeout: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A client for synchronous code. Connects when it is first used."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )


def connect_async(url: str, *, timeout: float | None = TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """A client for one event loop. `timeout` None waits for ever, for subscriptions only.

    Nothing is retried behind the caller's back: a command that was cancelled or timed out may have
    had its effect, so only callers know whether saying it again is safe.
    """
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout or TIMEOUT_SECONDS,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
