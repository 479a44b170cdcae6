"""Connections to MCP servers that a worker reuses, so that most calls need one request only."""

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.runtime.tools.mcp.connection import McpConnection
from kernel.egress.client import Egress

IDLE_SECONDS = 60.0
"""Time after which an unused connection is closed."""
LEGACY_SECONDS = 600.0
"""Time for which a server with only the older handshake is remembered as such."""
MAX_SERVERS = 1000

Key = tuple[int, str, tuple[tuple[str, str], ...]]
"""Tenant, address and headers. Connections are not shared between different keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server with the tenant and the credential of a call. Never log it: it has a secret."""

    tenant_id: int
    url: str
    headers: Mapping[str, str]

    @property
    def key(self) -> Key:
        return (self.tenant_id, self.url, tuple(sorted(self.headers.items())))


class Sessions:
    """Open connections by tenant, address and credential.

    A connection is shared only if the server has no state for it: a session with state belongs to
    one call, so that no run sees the state of another one.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._open: dict[Key, McpConnection] = {}
        self._legacy: OrderedDict[Key, float] = OrderedDict()
        """The servers with the older handshake, each with the time until which that is assumed."""
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connected(self, server: McpServer) -> AsyncGenerator[McpConnection]:
        """Yield a connection for one call. Afterwards it is reused, or closed."""
        connection = self._take(server)
        connection.users += 1
        has_answered = False
        try:
            yield connection
            has_answered = True
        except (asyncio.CancelledError, TimeoutError):
            connection.has_cancelled_call = True
            raise
        finally:
            connection.users -= 1
            # After any failure the next call opens a new connection.
            connection.is_discarded = connection.is_discarded or not has_answered
            closing = self._give_back(server, connection)
        if closing is not None:
            await asyncio.wait([closing])

    def _take(self, server: McpServer) -> McpConnection:
        idle = self._open.get(server.key)
        if idle is not None and idle.is_usable:
            return idle
        return McpConnection(
            self._egress,
            url=server.url,
            headers=server.headers,
            is_legacy=self._legacy.get(server.key, 0.0) > now(),
        )

    def _give_back(self, server: McpServer, connection: McpConnection) -> asyncio.Task[None] | None:
        """Keep the connection open, or close it after its last call. Returns the closing task."""
        self._remember_handshake(server.key, connection)
        if connection.is_usable and not connection.transport.has_session:
            other = self._open.setdefault(server.key, connection)
            if other is connection:
                connection.idle_since = now()
                if not connection.is_watched:
                    connection.is_watched = True
                    self._watch(server.key, connection)
                return None
        connection.is_discarded = True
        if self._open.get(server.key) is connection:
            del self._open[server.key]
        return self._close(connection) if connection.users == 0 else None

    def _remember_handshake(self, key: Key, connection: McpConnection) -> None:
        if connection.is_legacy_known:
            self._legacy[key] = now() + LEGACY_SECONDS
            self._legacy.move_to_end(key)
        elif connection.is_discarded:
            self._legacy.pop(key, None)
        while len(self._legacy) > MAX_SERVERS:
            self._legacy.popitem(last=False)

    def _watch(self, key: Key, connection: McpConnection) -> None:
        """Schedule the check whether the connection has been idle for too long."""
        until = max(connection.idle_since + IDLE_SECONDS, now() + 1)
        asyncio.get_running_loop().call_at(until, self._close_idle, key, connection)

    def _close_idle(self, key: Key, connection: McpConnection) -> None:
        if connection.is_discarded:
            return
        if connection.users or now() - connection.idle_since < IDLE_SECONDS:
            self._watch(key, connection)
            return
        connection.is_discarded = True
        if self._open.get(key) is connection:
            del self._open[key]
        self._close(connection)

    def _close(self, connection: McpConnection) -> asyncio.Task[None]:
        task = asyncio.create_task(connection.close(), context=contextvars.Context())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


def now() -> float:
    return asyncio.get_running_loop().time()
