"""The one client for addresses that people typed: webhooks now, tools later.

A host is resolved once, all its addresses are checked, and only those are connected to: a name
that is resolved again for the connection could stand for another address by then. Redirects are
followed by hand, a few, each one checked anew. No proxies of the environment, no cookies.
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

from kernel.egress.rules import Address, EgressRules, Target, TargetRefused, rules_of
from kernel.errors import UpstreamError

SECONDS = 10.0
MAX_RESPONSE_BYTES = 1024 * 1024
MAX_REDIRECTS = 3
REDIRECTS = {301, 302, 303, 307, 308}
SAME_METHOD = {307, 308}
KEPT_ABROAD = {"accept", "content-type", "user-agent"}
"""Headers that go along to another host; others may be credentials."""

Resolve = Callable[[Target], Awaitable[Sequence[Address]]]


class EgressFailed(UpstreamError):
    """The address did not answer as it should. Check it, and try again."""

    code = "egress_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    """Who answered, after redirects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAnswer:
    """An answer whose body is still coming."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    """Raises EgressFailed if it breaks off, or is longer than it may be."""
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class PinnedResolver(AbstractResolver):
    """Answers with the addresses that were checked, and with nothing else."""

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
        """Nothing is open."""


async def resolve_by_system(target: Target) -> Sequence[Address]:
    """Every address that a name stands for. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))


class Egress:
    """Sends requests where the rules allow."""

    def __init__(self, rules: EgressRules, *, resolve: Resolve = resolve_by_system) -> None:
        self._rules = rules
        self._resolve = resolve

    async def fetch(
        self, request: Request, *, seconds: float = SECONDS, most_bytes: int = MAX_RESPONSE_BYTES
    ) -> Answer:
        """The answer, of any status. Everything together takes at most `seconds`.

        Raises TargetRefused if the address, or one that it redirects to, is not allowed, and
        EgressFailed if there is no answer, or a longer one than `most_bytes`.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self.open(request, most_bytes=most_bytes) as answer,
            ):
                body = b"".join([part async for part in answer.body])
        except TimeoutError:
            raise EgressFailed("The address took too long to answer.") from None
        return Answer(status=answer.status, headers=answer.headers, body=body, url=answer.url)

    @asynccontextmanager
    async def open(
        self, request: Request, *, most_bytes: int = MAX_RESPONSE_BYTES
    ) -> AsyncGenerator[OpenAnswer]:
        """The answer as soon as its head is there; at the end the connection is closed.

        It takes as long as it takes: who asks sets a limit. Raises as `fetch` does.
        """
        async with AsyncExitStack() as stack:
            try:
                answer = await self._follow(request, stack)
            except (aiohttp.ClientError, OSError) as error:
                raise failed(error) from error
            yield OpenAnswer(
                status=answer.status,
                headers=answer.headers,
                body=read_at_most(most_bytes, answer.body),
                url=answer.url,
            )

    def ensure_target(self, url: str) -> None:
        """Raises TargetRefused for a URL of which one sees that it will be refused."""
        target = self._rules.target(url)
        self._rules.ensure_allowed(target, [target.literal] if target.literal else [])

    async def _follow(self, request: Request, stack: AsyncExitStack) -> OpenAnswer:
        """The answer after redirects; `stack` closes its connection."""
        for _ in range(MAX_REDIRECTS + 1):
            target = self._rules.target(request.url)
            asked = await stack.enter_async_context(AsyncExitStack())
            answer = await self._ask(request, target, asked)
            location = answer.headers.get("location")
            if not location or not is_followed(request, answer):
                return answer
            await asked.aclose()
            request = self._redirected(request, target, urljoin(target.url, location))
        raise EgressFailed("The address redirects too often.")

    def _redirected(self, request: Request, came_from: Target, url: str) -> Request:
        """The request to where a redirect points. Raises TargetRefused."""
        target = self._rules.target(url)
        if came_from.scheme == "https" and target.scheme != "https":
            raise TargetRefused("A redirect leads from https to http.")
        abroad = target.origin != came_from.origin
        headers = {
            name: value
            for name, value in request.headers.items()
            if not abroad or name.lower() in KEPT_ABROAD
        }
        return Request(method=request.method, url=url, headers=headers, body=request.body)

    async def _ask(self, request: Request, target: Target, stack: AsyncExitStack) -> OpenAnswer:
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
                # Without a body there is nothing whose type could be named.
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
    """Whether the same request makes sense there: only 307 and 308 are for what has a body."""
    safe = request.method in {"GET", "HEAD"}
    return answer.status in (REDIRECTS if safe else SAME_METHOD)


def session_to(addresses: Sequence[Address]) -> aiohttp.ClientSession:
    """For one request: nothing is kept, neither connections nor cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PinnedResolver(addresses), use_dns_cache=False, force_close=True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # Packed, a small answer could be a huge one.
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def read_at_most(most_bytes: int, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts as they come. Raises EgressFailed for more bytes, and for what breaks off."""
    left = most_bytes
    try:
        async for part in parts:
            left -= len(part)
            if left < 0:
                raise EgressFailed("The answer is too long.")
            yield part
    except (aiohttp.ClientError, OSError) as error:
        raise failed(error) from error


def failed(error: Exception) -> EgressFailed:
    """Without the text of the error, which may hold addresses of ours."""
    if isinstance(error, TimeoutError):
        return EgressFailed("The address took too long to answer.")
    return EgressFailed(f"The request failed: {error.__class__.__name__}.")


def configured_egress() -> Egress:
    """As the operator set it."""
    return Egress(
        rules_of(
            allow=settings.EGRESS_ALLOW,
            ports=settings.EGRESS_PORTS,
            http=settings.EGRESS_HTTP,
        )
    )


def fetch_now(
    request: Request, *, seconds: float = SECONDS, most_bytes: int = MAX_RESPONSE_BYTES
) -> Answer:
    """`Egress.fetch` for code without an event loop, such as Celery's."""
    fetched = configured_egress().fetch(request, seconds=seconds, most_bytes=most_bytes)
    return asyncio.run(fetched)
