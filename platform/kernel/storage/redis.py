"""The one place where Redis (or Valkey) clients are made, so that all behave alike.

A server that answers that it cannot serve (it was demoted, is full, loads its data) is as good as
away, and after a failover behind one address only a new connection leads to the new server. So the
first such answer closes the connection, and callers hear a ConnectionError.
"""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.connection
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 2.0
"""For everything that is not on the path of a request; that path sets its own."""
READY_KEY = "tenantry:ready"
"""Written to find out whether writes are taken."""
READY_KEY_SECONDS = 60

NOT_SERVING = frozenset(
    {
        "READONLY",  # a replica, or a master that was demoted
        "LOADING",  # it has started a moment ago
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOREPLICAS",
        "MISCONF",  # it cannot write to its disk
        "OOM",  # maxmemory is full
        "BUSY",  # a script does not end
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
        "UNBLOCKED",  # it was demoted while we waited
    }
)
"""The first words of errors that are about the server, and not about the command."""


class NotServing(redis.ConnectionError):
    """The server answers, but not as one that can be used now. Its connection is closed."""


def is_not_serving(error: redis.RedisError) -> bool:
    """Whether a reply says that the server cannot be used now."""
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code in NOT_SERVING


class ReadsReplies:
    """For synchronous connections: mixed in before one of redis-py's."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.ResponseError as error:
            if not is_not_serving(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise NotServing(f"{error.__class__.__name__}: {error}") from error


class ReadsRepliesAsync:
    """The same for an event loop."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.ResponseError as error:
            if not is_not_serving(error):
                raise
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise NotServing(f"{error.__class__.__name__}: {error}") from error


class TcpConnection(ReadsReplies, redis.connection.Connection):
    """Over TCP."""


class TlsConnection(ReadsReplies, redis.connection.SSLConnection):
    """Over TLS."""


class UnixConnection(ReadsReplies, redis.connection.UnixDomainSocketConnection):
    """Over a socket of this machine."""


class AsyncTcpConnection(ReadsRepliesAsync, redis.asyncio.connection.Connection):
    """Over TCP."""


class AsyncTlsConnection(ReadsRepliesAsync, redis.asyncio.connection.SSLConnection):
    """Over TLS."""


class AsyncUnixConnection(ReadsRepliesAsync, redis.asyncio.connection.UnixDomainSocketConnection):
    """Over a socket of this machine."""


OURS: dict[type, type] = {
    redis.connection.Connection: TcpConnection,
    redis.connection.SSLConnection: TlsConnection,
    redis.connection.UnixDomainSocketConnection: UnixConnection,
    redis.asyncio.connection.Connection: AsyncTcpConnection,
    redis.asyncio.connection.SSLConnection: AsyncTlsConnection,
    redis.asyncio.connection.UnixDomainSocketConnection: AsyncUnixConnection,
}
"""redis-py's connections, and what takes their place."""


DRIVER = redis.DriverInfo()
"""What each connection says of itself. redis-py would read its package's files for each one."""


class Pool(redis.ConnectionPool):
    """Connections that are closed when their server serves no more."""

    def __init__(
        self, connection_class: type = redis.connection.Connection, **options: Any
    ) -> None:
        known = {"driver_info": DRIVER, **options}
        super().__init__(OURS.get(connection_class, connection_class), **known)


class AsyncPool(redis.asyncio.ConnectionPool):
    """The same for an event loop."""

    def __init__(
        self, connection_class: type = redis.asyncio.connection.Connection, **options: Any
    ) -> None:
        known = {"driver_info": DRIVER, **options}
        super().__init__(OURS.get(connection_class, connection_class), **known)


def connect(url: str, *, timeout: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A client for synchronous code. Connects when it is first used."""
    pool = Pool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return redis.Redis.from_pool(pool)


def connect_async(url: str, *, timeout: float | None = TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """A client for one event loop. `timeout` None waits for ever, for subscriptions only.

    Nothing is retried behind the caller's back: a command that was cancelled or timed out may have
    had its effect, so only callers know whether saying it again is safe.
    """
    pool = AsyncPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout or TIMEOUT_SECONDS,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return redis.asyncio.Redis.from_pool(pool)
