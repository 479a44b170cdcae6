"""The HTTP client of engines: pooled, bounded, limited to the allow-listed paths."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.connection import EngineConnection, EngineResponse, Origin
from inference.relay.connections import Connections
from kernel.errors import UpstreamError

Path = Literal["/v1/chat/completions", "/v1/embeddings"]


class Take(Protocol):
    """Method of the connection pool that provides a connection."""

    async def __call__(self, origin: Origin, *, timeout_seconds: float) -> EngineConnection: ...


NewResolver = Callable[[], AbstractResolver]

INVALID_HEADER_CHARS = re.compile(r"[^\x20-\x7e]")
"""Characters that a header value may not contain: control characters and non-ASCII."""


class ConnectFailed(UpstreamError):
    """The server of this model cannot be reached. Try again."""

    code = "upstream_unreachable"
    was_refused = False
    """Whether the connection was refused, as by a host on which no process listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Origin and head of a request."""

    origin: Origin
    head: bytes
    """Request line and headers, up to the value of Content-Length."""


@lru_cache(maxsize=4096)
def destination_of(address: str, credential: str, path: Path) -> Destination:
    """Return the destination of requests to an endpoint.

    Raises UpstreamError for a credential that is no valid header value.
    """
    url = URL(address + path)
    if INVALID_HEADER_CHARS.search(credential):
        raise UpstreamError
    lines = [
        f"POST {url.raw_path} HTTP/1.1",
        f"host: {url.host_port_subcomponent}",
        # Bodies are relayed unchanged; in a compressed one the usage could not be read.
        "accept-encoding: identity",
        "content-type: application/json",
        *([f"authorization: Bearer {credential}"] if credential else []),
        "content-length: ",
    ]
    origin = Origin(host=url.host or "", port=url.port or 80, is_tls=url.scheme == "https")
    return Destination(origin=origin, head="\r\n".join(lines).encode("ascii"))


class Upstream:
    """Sends requests to engines. Open it in the event loop that uses it."""

    def __init__(self, *, connections: int, resolver: NewResolver = ThreadedResolver) -> None:
        """`resolver` creates the DNS resolver for the host names of engines."""
        self._max_connections = connections
        self._resolver = resolver
        self._connections: Connections | None = None

    async def open(self) -> None:
        self._connections = Connections(
            max_connections=self._max_connections, resolver=self._resolver()
        )

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()

    async def post(
        self, endpoint: Endpoint, path: Path, body: bytes, *, pool: Pool
    ) -> EngineResponse:
        """Send a request. The response is filled as data arrives; its user must call `release`.

        Raises ConnectFailed if there is no connection: the engine has not received the request.
        """
        return await self._post(endpoint, path, body, pool, self._open_connections.take)

    async def post_on_new_connection(
        self, endpoint: Endpoint, path: Path, body: bytes, *, pool: Pool
    ) -> EngineResponse:
        """As `post`, on a new connection: for a retry after a stale one."""
        return await self._post(endpoint, path, body, pool, self._open_connections.take_new)

    @property
    def _open_connections(self) -> Connections:
        assert self._connections is not None, "call open() first"
        return self._connections

    async def _post(
        self, endpoint: Endpoint, path: Path, body: bytes, pool: Pool, take: Take
    ) -> EngineResponse:
        to = destination_of(endpoint.address, endpoint.credential, path)
        try:
            connection = await take(to.origin, timeout_seconds=pool.connect_timeout)
        except OSError as error:
            failure = ConnectFailed()
            failure.was_refused = isinstance(error, ConnectionRefusedError)
            raise failure from error
        return connection.send(b"%b%d\r\n\r\n%b" % (to.head, len(body), body))
