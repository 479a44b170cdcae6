"""The factory of all clients of Redis (or Valkey), so that they behave in the same way.

A server that answers that it cannot serve (it was demoted, is full, loads its data) counts as
unavailable, and after a failover behind one address only a new connection leads to the new server.
So the first such answer closes the connection, and callers get a ConnectionError.
"""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.connection
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 2.0
"""Default timeout. Clients on the path of a request set their own."""
READY_KEY = "tenantry:ready"
"""The key of probes that test whether Redis accepts writes."""
READY_KEY_SECONDS = 60

NOT_SERVING = frozenset(
    {
        "READONLY",  # a replica, or a master that was demoted
        "LOADING",  # it has just started
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOREPLICAS",
        "MISCONF",  # it cannot write to its disk
        "OOM",  # maxmemory is full
        "BUSY",  # a script does not end
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
        "UNBLOCKED",  # it was demoted while a command was blocked
    }
)
"""Prefixes of errors that concern the server, not the command."""


class NotServing(redis.ConnectionError):
    """The server is unusable now. Its connection is closed."""


def is_not_serving(error: redis.RedisError) -> bool:
    """Return whether a reply means that the server is unusable now."""
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code in NOT_SERVING


class ReadsReplies:
    """A mixin for synchronous connections of redis-py."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.ResponseError as error:
            if not is_not_serving(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise NotServing(f"{error.__class__.__name__}: {error}") from error


class ReadsRepliesAsync:
    """A mixin for asynchronous connections of redis-py."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.ResponseError as error:
            if not is_not_serving(error):
                raise
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise NotServing(f"{error.__class__.__name__}: {error}") from error


class TcpConnection(ReadsReplies, redis.connection.Connection):
    """A connection over TCP."""


class TlsConnection(ReadsReplies, redis.connection.SSLConnection):
    """A connection over TLS."""


class UnixConnection(ReadsReplies, redis.connection.UnixDomainSocketConnection):
    """A connection over a Unix socket."""


class AsyncTcpConnection(ReadsRepliesAsync, redis.asyncio.connection.Connection):
    """A connection over TCP."""


class AsyncTlsConnection(ReadsRepliesAsync, redis.asyncio.connection.SSLConnection):
    """A connection over TLS."""


class AsyncUnixConnection(ReadsRepliesAsync, redis.asyncio.connection.UnixDomainSocketConnection):
    """A connection over a Unix socket."""


OURS: dict[type, type] = {
    redis.connection.Connection: TcpConnection,
    redis.connection.SSLConnection: TlsConnection,
    redis.connection.UnixDomainSocketConnection: UnixConnection,
    redis.asyncio.connection.Connection: AsyncTcpConnection,
    redis.asyncio.connection.SSLConnection: AsyncTlsConnection,
    redis.asyncio.connection.UnixDomainSocketConnection: AsyncUnixConnection,
}
"""Connection classes of redis-py, and their replacements."""


DRIVER = redis.DriverInfo()
"""The client name and version. redis-py would read package files for each connection."""


class RedisPool(redis.ConnectionPool):
    """A pool whose connections are closed when their server becomes unusable."""

    def __init__(
        self, connection_class: type = redis.connection.Connection, **options: Any
    ) -> None:
        known = {"driver_info": DRIVER, **options}
        super().__init__(OURS.get(connection_class, connection_class), **known)


class AsyncPool(redis.asyncio.ConnectionPool):
    """An asyncio pool whose connections are closed when their server becomes unusable."""

    def __init__(
        self, connection_class: type = redis.asyncio.connection.Connection, **options: Any
    ) -> None:
        known = {"driver_info": DRIVER, **options}
        super().__init__(OURS.get(connection_class, connection_class), **known)


def connect(url: str, *, timeout: float = TIMEOUT_SECONDS) -> redis.Redis:
    """Return a client for synchronous code. Connects when it is first used."""
    pool = RedisPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return redis.Redis.from_pool(pool)


def connect_async(url: str, *, timeout: float | None = TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """Return a client for one event loop. `timeout` None waits forever, for subscriptions only.

    The client does not retry: a command that was cancelled or timed out may have had its effect, so
    only the caller knows whether repeating it is safe.
    """
    pool = AsyncPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout or TIMEOUT_SECONDS,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return redis.asyncio.Redis.from_pool(pool)
