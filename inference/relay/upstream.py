"""The one HTTP client towards engines: pooled, bounded, and calling allow-listed paths only."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

import aiohttp
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from inference.errors import UpstreamTimeout
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.line import Connector
from kernel.errors import UpstreamError

Path = Literal["/v1/chat/completions", "/v1/embeddings"]

NewResolver = Callable[[], AbstractResolver]

READ_BUFFER: Final = 64 * 1024
LARGE_BODY: Final = 1024 * 1024
"""From here on a body is written in pieces, between which other requests have their turn."""


class ConnectFailed(UpstreamError):
    """The server of this model cannot be reached. Try again."""

    code = "upstream_unreachable"
    was_refused = False
    """Nobody listens there, which is known at once."""


@lru_cache(maxsize=4096)
def url_of(address: str, path: Path) -> URL:
    return URL(address + path)


@lru_cache(maxsize=256)
def timeout_of(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect)


def headers_for(credential: str) -> dict[str, str] | None:
    return {"authorization": f"Bearer {credential}"} if credential else None


class Upstream:
    """Sends requests to engines. Open it in the event loop that uses it."""

    def __init__(self, *, connections: int, resolver: NewResolver = ThreadedResolver) -> None:
        """`resolver` makes what finds out which addresses the names of engines stand for."""
        self._connections = connections
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=Connector(
                limit=self._connections,
                keepalive_timeout=30,
                ttl_dns_cache=30,
                resolver=self._resolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A body is relayed as it came; a compressed one would hide its size and its usage.
            auto_decompress=False,
            headers={"accept-encoding": "identity", "content-type": "application/json"},
            skip_auto_headers={"user-agent", "accept"},
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=READ_BUFFER,
            trust_env=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self, endpoint: Endpoint, path: Path, body: bytes, *, pool: Pool
    ) -> aiohttp.ClientResponse:
        """The engine's answer from its headers on; whoever takes it must release or close it.

        Raises ConnectFailed if the engine has certainly not seen the request, UpstreamError if it
        may have.
        """
        assert self._session is not None, "open() comes first"
        try:
            return await self._session.post(
                url_of(endpoint.address, path),
                data=body if len(body) < LARGE_BODY else io.BytesIO(body),
                headers=headers_for(endpoint.credential),
                allow_redirects=False,
                timeout=timeout_of(pool.connect_timeout),
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = ConnectFailed()
            failure.was_refused = is_refusal(error)
            raise failure from error
        except TimeoutError as error:
            raise UpstreamTimeout from error
        except aiohttp.ClientError as error:
            raise UpstreamError from error


def is_refusal(error: aiohttp.ClientError) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, ConnectionRefusedError
    )
