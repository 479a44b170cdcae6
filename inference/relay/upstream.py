"""The one HTTP client towards engines: pooled, bounded, and calling allow-listed paths only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.connection import Answer, Origin
from inference.relay.connections import Connections
from kernel.errors import UpstreamError

Path = Literal["/v1/chat/completions", "/v1/embeddings"]

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
        assert self._connections is not None, "open() comes first"
        to = destination_of(endpoint.address, endpoint.credential, path)
        try:
            connection = await self._connections.take(to.origin, patience=pool.connect_timeout)
        except OSError as error:
            failure = ConnectFailed()
            failure.was_refused = isinstance(error, ConnectionRefusedError)
            raise failure from error
        return connection.ask(b"%b%d\r\n\r\n%b" % (to.head, len(body), body))
