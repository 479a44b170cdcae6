"""Pool of keep-alive connections to engines, with a limit on those in use."""

import asyncio
import ssl
from collections import defaultdict
from functools import cache, partial
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver

from inference.relay.connection import EngineConnection, Origin
from kernel.storage.cache import LoadingCache

KEEP_ALIVE_SECONDS = 4.0
"""Idle time after which a connection is closed. Below the servers' own timeout (vLLM: 5 s), so that
a request does not meet a closing connection."""
DNS_CACHE_SECONDS = 30.0


@cache
def tls() -> ssl.SSLContext:
    """Return a context that verifies certificates against the system's trust store."""
    return ssl.create_default_context()


def is_ip_address(host: str) -> bool:
    """Return whether `host` is an IP address and needs no name resolution."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Connections:
    """Provides at most `max_connections` connections at a time. Use it in one event loop."""

    def __init__(self, *, max_connections: int, resolver: AbstractResolver) -> None:
        self._slots = asyncio.Semaphore(max_connections)
        self._resolver = resolver
        self._names: LoadingCache[tuple[str, int], list[str]] = LoadingCache(
            self._resolve, ttl=DNS_CACHE_SECONDS
        )
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[Origin, list[EngineConnection]] = defaultdict(list)
        self._open: set[EngineConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin, *, timeout_seconds: float) -> EngineConnection:
        """Return a connection for one request; leaving the response returns it to the pool.

        Raises OSError, of which TimeoutError is a subclass, if there is none within the timeout.
        """
        await self._take_slot(timeout_seconds)
        connection = self._idle_at(origin)
        if connection is not None:
            return connection
        return await self._connect_in_slot(origin, timeout_seconds)

    async def take_new(self, origin: Origin, *, timeout_seconds: float) -> EngineConnection:
        """As `take`, but always with a new connection."""
        await self._take_slot(timeout_seconds)
        return await self._connect_in_slot(origin, timeout_seconds)

    async def _take_slot(self, timeout_seconds: float) -> None:
        if self._slots.locked():
            async with asyncio.timeout(timeout_seconds):
                await self._slots.acquire()
        else:
            await self._slots.acquire()

    async def _connect_in_slot(self, origin: Origin, timeout_seconds: float) -> EngineConnection:
        connection = None
        try:
            connection = await self._connect(origin, timeout_seconds=timeout_seconds)
        finally:
            if connection is None:
                self._slots.release()
        return connection

    def _idle_at(self, origin: Origin) -> EngineConnection | None:
        """Return the most recently used idle connection to `origin`, if any."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if (
                connection.is_good
                and self._loop.time() - connection.idle_since < KEEP_ALIVE_SECONDS
            ):
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin, *, timeout_seconds: float) -> EngineConnection:
        async with asyncio.timeout(timeout_seconds):
            addresses = [origin.host]
            if not is_ip_address(origin.host):
                addresses = await self._names.get((origin.host, origin.port))
            failure = OSError(f"{origin.host} has no address")
            for address in addresses:
                try:
                    return await self._connect_to(address, origin)
                except OSError as error:
                    failure = error
            raise failure

    async def _connect_to(self, address: str, origin: Origin) -> EngineConnection:
        make = partial(
            EngineConnection, origin=origin, on_release=self._on_released, on_close=self._on_closed
        )
        _, connection = await self._loop.create_connection(
            make,
            address,
            origin.port,
            ssl=tls() if origin.is_tls else None,
            server_hostname=origin.host if origin.is_tls else None,
        )
        if not connection.is_good:
            # Lost before it was returned: `connection_lost` will not be called again.
            raise ConnectionResetError("the server closed the connection at once")
        self._open.add(connection)
        return connection

    async def _resolve(self, name: tuple[str, int]) -> list[str]:
        host, port = name
        return [each["host"] for each in await self._resolver.resolve(host, port)]

    def _on_released(self, connection: EngineConnection) -> None:
        self._slots.release()
        if not connection.is_good:
            return
        connection.idle_since = self._loop.time()
        self._idle[connection.origin].append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEP_ALIVE_SECONDS, self._sweep)

    def _on_closed(self, connection: EngineConnection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close connections that have been idle for too long."""
        self._sweeper = None
        old = self._loop.time() - KEEP_ALIVE_SECONDS
        for origin, idle in tuple(self._idle.items()):
            for connection in [each for each in idle if each.idle_since <= old]:
                connection.close()
                idle.remove(connection)
            if not idle:
                del self._idle[origin]
        if self._idle:
            self._sweeper = self._loop.call_later(KEEP_ALIVE_SECONDS / 4, self._sweep)

    async def aclose(self) -> None:
        """Close all connections, idle or in use."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.close()
        await self._resolver.close()
