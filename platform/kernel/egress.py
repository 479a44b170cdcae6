"""The one client for addresses that people typed: webhooks now, tools later.

A host is resolved once, all its addresses are checked, and only those are connected to: a name
that is resolved again for the connection could stand for another address by then. Redirects are
followed by hand, a few, each one checked anew. No proxies of the environment, no cookies.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from kernel.egress_rules import Address, EgressRules, Target, TargetRefused, rules_of
from kernel.errors import UpstreamError

SECONDS = 10.0
MOST_BYTES = 1024 * 1024
MOST_REDIRECTS = 3
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
        self, request: Request, *, seconds: float = SECONDS, most_bytes: int = MOST_BYTES
    ) -> Answer:
        """The answer, of any status. Everything together takes at most `seconds`.

        Raises TargetRefused if the address, or one that it redirects to, is not allowed, and
        EgressFailed if there is no answer, or a longer one than `most_bytes`.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(request, most_bytes)
        except TimeoutError:
            raise EgressFailed("The address took too long to answer.") from None
        except (aiohttp.ClientError, OSError) as error:
            # Its text may hold addresses of ours.
            raise EgressFailed(f"The request failed: {error.__class__.__name__}.") from error

    def ensure_target(self, url: str) -> None:
        """Raises TargetRefused for a URL of which one sees that it will be refused."""
        target = self._rules.target(url)
        self._rules.ensure_allowed(target, [target.literal] if target.literal else [])

    async def _follow(self, request: Request, most_bytes: int) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            target = self._rules.target(request.url)
            answer = await self._ask(request, target, most_bytes)
            location = answer.headers.get("location")
            if not location or not is_followed(request, answer):
                return answer
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

    async def _ask(self, request: Request, target: Target, most_bytes: int) -> Answer:
        addresses = [target.literal] if target.literal else await self._resolve(target)
        if not addresses:
            raise EgressFailed("The host has no address.")
        self._rules.ensure_allowed(target, addresses)
        async with (
            session_to(addresses) as session,
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
            ) as answer,
        ):
            return Answer(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=await read_at_most(most_bytes, answer.content),
                url=target.url,
            )


def is_followed(request: Request, answer: Answer) -> bool:
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


async def read_at_most(most_bytes: int, content: aiohttp.StreamReader) -> bytes:
    """Raises EgressFailed for more."""
    parts: list[bytes] = []
    left = most_bytes
    async for part in content.iter_any():
        left -= len(part)
        if left < 0:
            raise EgressFailed("The answer is too long.")
        parts.append(part)
    return b"".join(parts)


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
    request: Request, *, seconds: float = SECONDS, most_bytes: int = MOST_BYTES
) -> Answer:
    """`Egress.fetch` for code without an event loop, such as Celery's."""
    fetched = configured_egress().fetch(request, seconds=seconds, most_bytes=most_bytes)
    return asyncio.run(fetched)
