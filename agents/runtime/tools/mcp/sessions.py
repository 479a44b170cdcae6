"""Connections to MCP servers that a worker keeps, so that a call is one request where it can be."""

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.runtime.tools.mcp.connection import Connection
from kernel.egress.client import Egress

IDLE_SECONDS = 60.0
"""For which a connection that is not used stays open."""
LEGACY_SECONDS = 600.0
"""For which a server is taken to speak the older handshake only, without being asked."""
MAX_SERVERS = 1000

Key = tuple[int, str, tuple[tuple[str, str], ...]]
"""Tenant, address and headers: what one of them may see, no other may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Whom a call is for, and with which credential. Never log it: the headers hold a secret."""

    tenant_id: int
    url: str
    headers: Mapping[str, str]

    @property
    def key(self) -> Key:
        return (self.tenant_id, self.url, tuple(sorted(self.headers.items())))


class Sessions:
    """Kept by tenant, address and credential.

    A connection is shared only if the server keeps no state for it: a session with state belongs
    to one call, for what one person's run has left in it is no other's business.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._kept: dict[Key, Connection] = {}
        self._legacy: OrderedDict[Key, float] = OrderedDict()
        """Servers of the older handshake, and until when they are taken for such."""
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connected(self, server: Server) -> AsyncGenerator[Connection]:
        """A connection for one call. It is kept for the next one, or closed after this one."""
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
            # Whatever a server did that failed, the next call begins anew.
            connection.is_discarded = connection.is_discarded or not has_answered
            closing = self._give_back(server, connection)
        if closing is not None:
            await asyncio.wait([closing])

    def _take(self, server: Server) -> Connection:
        kept = self._kept.get(server.key)
        if kept is not None and kept.is_usable:
            return kept
        return Connection(
            self._egress,
            url=server.url,
            headers=server.headers,
            is_legacy=self._legacy.get(server.key, 0.0) > now(),
        )

    def _give_back(self, server: Server, connection: Connection) -> asyncio.Task[None] | None:
        """Keep it, or close it once nobody uses it any more: then the task that does so."""
        self._note_era(server.key, connection)
        if connection.is_usable and not connection.transport.has_session:
            other = self._kept.setdefault(server.key, connection)
            if other is connection:
                connection.idle_since = now()
                if not connection.is_watched:
                    connection.is_watched = True
                    self._watch(server.key, connection)
                return None
        connection.is_discarded = True
        if self._kept.get(server.key) is connection:
            del self._kept[server.key]
        return self._close(connection) if connection.users == 0 else None

    def _note_era(self, key: Key, connection: Connection) -> None:
        if connection.is_legacy_known:
            self._legacy[key] = now() + LEGACY_SECONDS
            self._legacy.move_to_end(key)
        elif connection.is_discarded:
            self._legacy.pop(key, None)
        while len(self._legacy) > MAX_SERVERS:
            self._legacy.popitem(last=False)

    def _watch(self, key: Key, connection: Connection) -> None:
        """Look again when it may have been idle for long enough."""
        until = max(connection.idle_since + IDLE_SECONDS, now() + 1)
        asyncio.get_running_loop().call_at(until, self._close_idle, key, connection)

    def _close_idle(self, key: Key, connection: Connection) -> None:
        if connection.is_discarded:
            return
        if connection.users or now() - connection.idle_since < IDLE_SECONDS:
            self._watch(key, connection)
            return
        connection.is_discarded = True
        if self._kept.get(key) is connection:
            del self._kept[key]
        self._close(connection)

    def _close(self, connection: Connection) -> asyncio.Task[None]:
        task = asyncio.create_task(connection.close(), context=contextvars.Context())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


def now() -> float:
    return asyncio.get_running_loop().time()
