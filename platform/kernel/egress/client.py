"""The HTTP client for URLs that users enter: webhooks, tools and MCP servers.

A host is resolved once, all its addresses are checked, and only those are connected to: a second
resolution for the connection could return another address. Redirects are followed by this client,
up to a limit, and each one is checked. Proxies of the environment and cookies are not used.
"""

import asyncio
import socket
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from kernel.egress.rules import Address, EgressRules, EgressTarget, TargetRefused, rules_of
from kernel.errors import UpstreamError

SECONDS = 10.0
MAX_RESPONSE_BYTES = 1024 * 1024
MAX_REDIRECTS = 3
REDIRECTS = {301, 302, 303, 307, 308}
SAME_METHOD = {307, 308}
CROSS_ORIGIN_HEADERS = {"accept", "content-type", "user-agent"}
"""Headers that are sent to another host after a redirect; others may be credentials."""

Resolve = Callable[[EgressTarget], Awaitable[Sequence[Address]]]


class EgressFailed(UpstreamError):
    """The server did not respond correctly. Check the address, and try again."""

    code = "egress_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressResponse:
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    """The host that answered, after redirects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAnswer:
    """A response with a body stream."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    """Raises EgressFailed if the body is incomplete or too long."""
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class PinnedResolver(AbstractResolver):
    """A resolver that returns only the addresses that were checked."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


async def resolve_by_system(target: EgressTarget) -> Sequence[Address]:
    """Return all addresses of a host name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))


class Egress:
    """Sends requests to targets that the rules allow."""

    def __init__(self, rules: EgressRules, *, resolve: Resolve = resolve_by_system) -> None:
        self._rules = rules
        self._resolve = resolve

    async def fetch(
        self, request: Request, *, seconds: float = SECONDS, max_bytes: int = MAX_RESPONSE_BYTES
    ) -> EgressResponse:
        """Return the response, of any status, within `seconds` in all.

        Raises TargetRefused if the address, or one that it redirects to, is not allowed, and
        EgressFailed if there is no response, or a longer one than `max_bytes`.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self.open(request, max_bytes=max_bytes) as answer,
            ):
                body = b"".join([part async for part in answer.body])
        except TimeoutError:
            raise EgressFailed("The server did not respond in time.") from None
        return EgressResponse(
            status=answer.status, headers=answer.headers, body=body, url=answer.url
        )

    @asynccontextmanager
    async def open(
        self, request: Request, *, max_bytes: int = MAX_RESPONSE_BYTES
    ) -> AsyncGenerator[OpenAnswer]:
        """Yield the response as soon as its head has arrived. The connection is closed at the end.

        There is no timeout: the caller sets one. Raises the errors of `fetch`.
        """
        async with AsyncExitStack() as stack:
            try:
                answer = await self._follow(request, stack)
            except (aiohttp.ClientError, OSError) as error:
                raise failed(error) from error
            yield OpenAnswer(
                status=answer.status,
                headers=answer.headers,
                body=read_bounded(max_bytes, answer.body),
                url=answer.url,
            )

    def ensure_target(self, url: str) -> None:
        """Raises TargetRefused for a URL that is refused without resolving its host."""
        target = self._rules.target(url)
        self._rules.ensure_allowed(target, [target.literal] if target.literal else [])

    async def _follow(self, request: Request, stack: AsyncExitStack) -> OpenAnswer:
        """Return the response after redirects; `stack` closes its connection."""
        for _ in range(MAX_REDIRECTS + 1):
            target = self._rules.target(request.url)
            attempt = await stack.enter_async_context(AsyncExitStack())
            answer = await self._send(request, target, attempt)
            location = answer.headers.get("location")
            if not location or not is_followed(request, answer):
                return answer
            await attempt.aclose()
            request = self._redirected(request, target, urljoin(target.url, location))
        raise EgressFailed("The server redirects too often.")

    def _redirected(self, request: Request, came_from: EgressTarget, url: str) -> Request:
        """Return the request to the target of a redirect. Raises TargetRefused."""
        target = self._rules.target(url)
        if came_from.scheme == "https" and target.scheme != "https":
            raise TargetRefused("A redirect leads from https to http.")
        is_cross_origin = target.origin != came_from.origin
        headers = {
            name: value
            for name, value in request.headers.items()
            if not is_cross_origin or name.lower() in CROSS_ORIGIN_HEADERS
        }
        return Request(method=request.method, url=url, headers=headers, body=request.body)

    async def _send(
        self, request: Request, target: EgressTarget, stack: AsyncExitStack
    ) -> OpenAnswer:
        addresses = [target.literal] if target.literal else await self._resolve(target)
        if not addresses:
            raise EgressFailed("The host has no address.")
        self._rules.ensure_allowed(target, addresses)
        session = await stack.enter_async_context(session_to(addresses))
        answer = await stack.enter_async_context(
            session.request(
                request.method,
                URL(target.url, encoded=True),
                headers={
                    "user-agent": "Tenantry",
                    "accept-encoding": "identity",
                    **request.headers,
                },
                data=request.body or None,
                # A request without a body has no content type.
                skip_auto_headers=("content-type",),
                allow_redirects=False,
            )
        )
        return OpenAnswer(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.content.iter_any(),
            url=target.url,
        )


def is_followed(request: Request, answer: OpenAnswer) -> bool:
    """Return whether a redirect may be followed: a request with a body only by 307 and 308."""
    safe = request.method in {"GET", "HEAD"}
    return answer.status in (REDIRECTS if safe else SAME_METHOD)


def session_to(addresses: Sequence[Address]) -> aiohttp.ClientSession:
    """Return a session for one request, which stores neither connections nor cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PinnedResolver(addresses), use_dns_cache=False, force_close=True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # A small compressed response could be a huge one.
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def read_bounded(max_bytes: int, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts as they arrive. Raises EgressFailed beyond `max_bytes`, or if it breaks."""
    left = max_bytes
    try:
        async for part in parts:
            left -= len(part)
            if left < 0:
                raise EgressFailed("The response is too long.")
            yield part
    except (aiohttp.ClientError, OSError) as error:
        raise failed(error) from error


def failed(error: Exception) -> EgressFailed:
    """Return the error without its text, which may contain internal addresses."""
    if isinstance(error, TimeoutError):
        return EgressFailed("The server did not respond in time.")
    return EgressFailed(f"The request failed: {error.__class__.__name__}.")


def configured_egress() -> Egress:
    """Return the client with the operator's settings."""
    return Egress(
        rules_of(
            allow=settings.EGRESS_ALLOW,
            ports=settings.EGRESS_PORTS,
            http=settings.EGRESS_HTTP,
        )
    )


def fetch_now(
    request: Request, *, seconds: float = SECONDS, max_bytes: int = MAX_RESPONSE_BYTES
) -> EgressResponse:
    """`Egress.fetch` for synchronous code such as Celery tasks."""
    fetched = configured_egress().fetch(request, seconds=seconds, max_bytes=max_bytes)
    return asyncio.run(fetched)
