"""What a client may take before it is authenticated: bytes of a head, time, and connections.

Each bound on what an engine sends (`inference/relay/connection.py`) has its twin here.
"""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from weakref import WeakKeyDictionary

from django.conf import settings
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.server import ServerState

from kernel.errors import Rejected

MAX_HEAD_BYTES = 64 * 1024
"""Of a head, and of everything between two pieces of a body: chunk extensions and trailers."""
HEADER_OVERHEAD_BYTES = 32
"""Added to each header line, as in RFC 9113 §6.5.2, so that many short lines count as well."""
MAX_SOCKET_HEADERS = 128
MAX_SOCKET_HEADER_BYTES = 8 * 1024
"""Of one line. `websockets` reads no more, and answers nothing to a request that has more."""
HEAD_TIMEOUT_SECONDS = 15.0
"""From a connection's start, or from a request's first byte, to the end of the head."""
BODY_TIMEOUT_SECONDS = 60.0
"""Without a byte of the body, and for a whole body that is slower than the least rate."""
MIN_BODY_BYTES_PER_SECOND = 1024
SWEEP_SECONDS = 1.0
"""How often the times are looked at; one timer for all connections, none for each request."""


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
    """One connection's share of what its address may have. To leave it twice is allowed."""

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
    """The connections of all clients of one server."""

    def __init__(self, state: ServerState, trusted: _TrustedHosts) -> None:
        self._state = state
        self._trusted = trusted
        self._counts: dict[str, int] = {}
        self._swept_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take_place(self, client: tuple[str, int] | None) -> Place | None:
        """None if there is no limit for this client. Raises TooManyConnections.

        The connections of a trusted proxy are those of many clients, so the proxy limits them.
        """
        most = settings.CLIENT_CONNECTIONS
        if not most or client is None or client[0] in self._trusted:
            return None
        address = counted_address(client[0])
        if self._counts.get(address, 0) >= most:
            raise TooManyConnections
        return Place(self._counts, address)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the times of all connections as long as there are any."""
        if self._timer is None:
            self._swept_at = loop.time()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late = now - self._swept_at - SWEEP_SECONDS
        if late < SWEEP_SECONDS:  # else this process was late, and has not read what has come
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
    """One client's address: of IPv6 the network, as whoever has one has all of its addresses."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else address.packed[:8].hex()
    return str(address)


_CLIENTS: WeakKeyDictionary[ServerState, Clients] = WeakKeyDictionary()


def clients_of(state: ServerState, config: Config) -> Clients:
    """The same for each connection of a server."""
    clients = _CLIENTS.get(state)
    if clients is None:
        clients = _CLIENTS[state] = Clients(state, _TrustedHosts(config.forwarded_allow_ips or []))
    return clients


def is_body_late(*, seconds: float, silent: float, received: int) -> bool:
    """Whether a body is too slow that began `seconds` ago and was `silent` since its last byte."""
    allowed = BODY_TIMEOUT_SECONDS + received / MIN_BODY_BYTES_PER_SECOND
    return seconds > allowed or silent > BODY_TIMEOUT_SECONDS
