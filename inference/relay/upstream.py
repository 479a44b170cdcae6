"""The one HTTP client towards engines: pooled, bounded, and calling allow-listed paths only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.connection import Answer, Connection, Origin
from inference.relay.connections import Connections
from kernel.errors import UpstreamError

Path = Literal["/v1/chat/completions", "/v1/embeddings"]


class Take(Protocol):
    """One of the ways to get a connection."""

    async def __call__(self, origin: Origin, *, patience: float) -> Connection: ...


NewResolver = Callable[[], AbstractResolver]

UNSPEAKABLE = re.compile(r"[^\x20-\x7e]")
"""What would end a header, or is no ASCII."""


class ConnectFailed(UpstreamError):
    """The server of this model cannot be reached. Try again."""

    code = "upstream_unreachable"
    was_refused = False
    """Nobody listens there, which is known at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a request goes, and how it begins."""

    origin: Origin
    head: bytes
    """Up to the length of the body."""


@lru_cache(maxsize=4096)
def destination_of(address: str, credential: str, path: Path) -> Destination:
    """Raises UpstreamError for a credential that no header can hold."""
    url = URL(address + path)
    if UNSPEAKABLE.search(credential):
        raise UpstreamError
    lines = [
        f"POST {url.raw_path} HTTP/1.1",
        f"host: {url.host_port_subcomponent}",
        # A body is relayed as it came; a compressed one would hide its size and its usage.
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
        """`resolver` makes what finds out which addresses the names of engines stand for."""
        self._most = connections
        self._resolver = resolver
        self._connections: Connections | None = None

    async def open(self) -> None:
        self._connections = Connections(most=self._most, resolver=self._resolver())

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()

    async def post(self, endpoint: Endpoint, path: Path, body: bytes, *, pool: Pool) -> Answer:
        """Send a request. The answer arrives by and by; whoever takes it must leave it.

        Raises ConnectFailed if the engine has certainly not seen the request.
        """
        return await self._post(endpoint, path, body, pool, self._open_connections.take)

    async def post_on_new_connection(
        self, endpoint: Endpoint, path: Path, body: bytes, *, pool: Pool
    ) -> Answer:
        """As `post`, where the engine has closed a connection that had been used before."""
        return await self._post(endpoint, path, body, pool, self._open_connections.take_new)

    @property
    def _open_connections(self) -> Connections:
        assert self._connections is not None, "open() comes first"
        return self._connections

    async def _post(
        self, endpoint: Endpoint, path: Path, body: bytes, pool: Pool, take: Take
    ) -> Answer:
        to = destination_of(endpoint.address, endpoint.credential, path)
        try:
            connection = await take(to.origin, patience=pool.connect_timeout)
        except OSError as error:
            failure = ConnectFailed()
            failure.was_refused = isinstance(error, ConnectionRefusedError)
            raise failure from error
        return connection.ask(b"%b%d\r\n\r\n%b" % (to.head, len(body), body))
