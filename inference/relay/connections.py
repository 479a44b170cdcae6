"""The connections to engines: kept open between requests, bounded, and made where there is none."""

import asyncio
import ssl
from collections import defaultdict
from functools import cache, partial
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver

from inference.relay.connection import Connection, Origin
from kernel.storage.cache import LoadingCache

KEEP_ALIVE_SECONDS = 4.0
"""Less than servers wait: a request must not meet the end of its connection. vLLM's waits 5 s."""
RESOLVED_SECONDS = 30.0
"""For which the addresses of a name are believed."""


@cache
def tls() -> ssl.SSLContext:
    """Certificates are checked against those of the system."""
    return ssl.create_default_context()


def is_literal(host: str) -> bool:
    """Whether it is an address already, and stands for no other."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Connections:
    """Lends connections, `most` at the same time. Use it in one event loop."""

    def __init__(self, *, most: int, resolver: AbstractResolver) -> None:
        self._slots = asyncio.Semaphore(most)
        self._resolver = resolver
        self._names: LoadingCache[tuple[str, int], list[str]] = LoadingCache(
            self._resolve, ttl=RESOLVED_SECONDS
        )
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin, *, patience: float) -> Connection:
        """A connection for one request; it comes back by itself when the answer is left.

        Raises OSError if there is none within `patience` seconds; TimeoutError is one.
        """
        await self._take_slot(patience)
        connection = self._idle_at(origin)
        if connection is not None:
            return connection
        return await self._connect_in_slot(origin, patience)

    async def take_new(self, origin: Origin, *, patience: float) -> Connection:
        """As `take`, but one that has carried no request."""
        await self._take_slot(patience)
        return await self._connect_in_slot(origin, patience)

    async def _take_slot(self, patience: float) -> None:
        if self._slots.locked():
            async with asyncio.timeout(patience):
                await self._slots.acquire()
        else:
            await self._slots.acquire()

    async def _connect_in_slot(self, origin: Origin, patience: float) -> Connection:
        connection = None
        try:
            connection = await self._connect(origin, patience=patience)
        finally:
            if connection is None:
                self._slots.release()
        return connection

    def _idle_at(self, origin: Origin) -> Connection | None:
        """The one that was used last."""
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

    async def _connect(self, origin: Origin, *, patience: float) -> Connection:
        async with asyncio.timeout(patience):
            addresses = [origin.host]
            if not is_literal(origin.host):
                addresses = await self._names.get((origin.host, origin.port))
            failure = OSError(f"{origin.host} has no address")
            for address in addresses:
                try:
                    return await self._connect_to(address, origin)
                except OSError as error:
                    failure = error
            raise failure

    async def _connect_to(self, address: str, origin: Origin) -> Connection:
        make = partial(Connection, origin=origin, left=self._came_back, lost=self._lost)
        _, connection = await self._loop.create_connection(
            make,
            address,
            origin.port,
            ssl=tls() if origin.is_tls else None,
            server_hostname=origin.host if origin.is_tls else None,
        )
        if not connection.is_good:
            # Lost before it was handed out: nobody would ever tell who asks on it.
            raise ConnectionResetError("the server hung up at once")
        self._open.add(connection)
        return connection

    async def _resolve(self, name: tuple[str, int]) -> list[str]:
        host, port = name
        return [each["host"] for each in await self._resolver.resolve(host, port)]

    def _came_back(self, connection: Connection) -> None:
        self._slots.release()
        if not connection.is_good:
            return
        connection.idle_since = self._loop.time()
        self._idle[connection.origin].append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEP_ALIVE_SECONDS, self._sweep)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close those that were idle for too long."""
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
        """Close all of them, used or not."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.close()
        await self._resolver.close()
