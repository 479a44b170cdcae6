"""Limits of a client before authentication: size of the head, time, and connections.

Each limit of data that engines send (`inference/relay/connection.py`) has a counterpart here.
"""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from weakref import WeakKeyDictionary

from django.conf import settings
from uvicorn.server import ServerState

from config.trusted_proxies import TrustedProxies, trusted_proxies
from kernel.errors import Rejected

MAX_HEAD_BYTES = 64 * 1024
"""Maximum size of a head, and of chunk extensions and trailers of a body."""
HEADER_OVERHEAD_BYTES = 32
"""Added to each header line, as in RFC 9113 §6.5.2, so that many short lines count as well."""
MAX_SOCKET_HEADERS = 128
MAX_SOCKET_HEADER_BYTES = 8 * 1024
"""Maximum size of a line. `websockets` does not answer a request with a longer one."""
HEAD_TIMEOUT_SECONDS = 15.0
"""Timeout of a head, from the start of the connection or the first byte of the request."""
BODY_TIMEOUT_SECONDS = 60.0
"""Timeout without a byte of the body, and of a body below the minimum rate."""
MIN_BODY_BYTES_PER_SECOND = 1024
SWEEP_SECONDS = 1.0
"""Interval of the check of all connections, which have one timer together."""


class HeadTooLarge(Rejected):
    """The request's headers are larger than 64 KiB. Send fewer or shorter headers."""

    code = "headers_too_large"
    status = 431


class RequestTooSlow(Rejected):
    """The request did not arrive in time. Send it again, without pauses."""

    code = "request_timeout"
    status = 408


class TooManyConnections(Rejected):
    """Your address has too many open connections. Close some, or reuse them, and try again."""

    code = "too_many_connections"
    status = 429
    kind = "rate_limit_error"

    def __init__(self, message: str = "", *, retry_after: float | None = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class MalformedRequest(Rejected):
    """The request is not valid HTTP/1.1. Send it with an HTTP client."""

    code = "malformed_request"


class Place:
    """One connection that counts towards the limit of an address. `leave` may be called twice."""

    __slots__ = ("_address", "_counts")

    def __init__(self, counts: dict[str, int], address: str) -> None:
        self._counts = counts
        self._address: str | None = address
        counts[address] = counts.get(address, 0) + 1

    def leave(self) -> None:
        address, self._address = self._address, None
        if address is None:
            return
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


class Clients:
    """The connections of one server by client address."""

    def __init__(self, state: ServerState, trusted: TrustedProxies) -> None:
        self._state = state
        self._trusted = trusted
        self._counts: dict[str, int] = {}
        self._swept_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take_place(self, client: tuple[str, int] | None) -> Place | None:
        """Count a connection. Returns None if the client has no limit. Raises TooManyConnections.

        The connections of a trusted proxy are those of many clients, so the proxy limits them.
        """
        limit = settings.CLIENT_CONNECTIONS
        if not limit or client is None or client[0] in self._trusted:
            return None
        address = counted_address(client[0])
        if self._counts.get(address, 0) >= limit:
            raise TooManyConnections
        return Place(self._counts, address)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check the times of all connections while there are any."""
        if self._timer is None:
            self._swept_at = loop.time()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late = now - self._swept_at - SWEEP_SECONDS
        if late < SWEEP_SECONDS:  # else this process was late, and has not read received bytes
            check_times(list(self._state.connections), now)
        if self._state.connections:
            self.watch(loop)


def check_times(connections: Iterable[object], now: float) -> None:
    for connection in connections:
        check = getattr(connection, "check_time", None)  # sockets have none
        if check is not None:
            check(now)


@lru_cache(maxsize=1024)
def counted_address(host: str) -> str:
    """Return the address of a client; for IPv6 its network, which one client may use entirely."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else address.packed[:8].hex()
    return str(address)


_CLIENTS: WeakKeyDictionary[ServerState, Clients] = WeakKeyDictionary()


def clients_of(state: ServerState) -> Clients:
    """Return the clients of a server, the same object for each of its connections."""
    clients = _CLIENTS.get(state)
    if clients is None:
        clients = _CLIENTS[state] = Clients(state, trusted_proxies())
    return clients


def is_body_late(*, seconds: float, silent: float, received: int) -> bool:
    """Return whether a body is too slow, `seconds` after its start and `silent` after a byte."""
    allowed = BODY_TIMEOUT_SECONDS + received / MIN_BODY_BYTES_PER_SECOND
    return seconds > allowed or silent > BODY_TIMEOUT_SECONDS
