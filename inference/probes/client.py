"""Asking engines how they are: from outside, through the few paths that we ever call."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from inference.engines.engine import Load, MetricNames, read_load
from inference.engines.resolver import EngineResolver

GetPath = Literal["/health", "/healthz", "/ready", "/readyz", "/ping", "/v1/models", "/metrics"]
PostPath = Literal["/v1/chat/completions", "/v1/embeddings"]

PROBE_TIMEOUT_SECONDS = 3.0
MAX_CONCURRENT_PROBES = 50
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_NOTE_CHARS = 200
TOO_BUSY = frozenset({408, 429})
FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""How asking may end without an answer; ValueError is one that is too long or no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint to be asked, and how."""

    id: int
    public_id: str
    address: str
    model: str
    credential: str = field(repr=False)
    path: GetPath
    embeds: bool = False
    """It makes vectors: it is asked for one instead of a token."""
    patience: float = PROBE_TIMEOUT_SECONDS
    metrics: MetricNames | None = None
    """None: its load is not read; it tells by itself, or has none that we understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What asking an endpoint brought to light."""

    good: bool
    note: str
    """For people: what was asked, what came, after which time. No secrets."""
    load: Load | None = None
    counts: bool = True
    """False: it says nothing about the health of the endpoint."""


Ask = Callable[[aiohttp.ClientSession, Target], Awaitable[ProbeResult]]


async def ask_all(
    targets: Iterable[Target], *, ask: Ask, allow_loopback: bool = False
) -> list[tuple[Target, ProbeResult]]:
    """Ask all of them at the same time, some at once. In the order of `targets`.

    `allow_loopback`: names of engines may stand for this machine.
    """
    gate = asyncio.Semaphore(MAX_CONCURRENT_PROBES)
    resolver = EngineResolver(allow_loopback=allow_loopback)
    connector = aiohttp.TCPConnector(
        limit=MAX_CONCURRENT_PROBES, force_close=True, resolver=resolver
    )
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:

        async def one(target: Target) -> tuple[Target, ProbeResult]:
            async with gate:
                return target, await ask(session, target)

        return list(await asyncio.gather(*(one(target) for target in targets)))


async def ask_health(session: aiohttp.ClientSession, target: Target) -> ProbeResult:
    """Whether it answers at the pool's probe path, and its load where we read that."""
    started = time.monotonic()
    try:
        status, _ = await get(session, target, target.path)
    except FAILURES as error:
        return ProbeResult(good=False, note=describe(target.path, described(error), since=started))
    finding = ProbeResult(
        good=is_alive(status), note=describe(target.path, f"status {status}", since=started)
    )
    return await with_load(session, target, finding) if target.metrics else finding


async def with_load(
    session: aiohttp.ClientSession, target: Target, finding: ProbeResult
) -> ProbeResult:
    """`finding` with the engine's load; without, where it does not tell."""
    assert target.metrics is not None
    try:
        status, text = await get(session, target, "/metrics")
    except FAILURES:
        return finding
    load = read_load(target.metrics, metrics=text) if status == 200 else None  # noqa: PLR2004 - OK
    return ProbeResult(good=finding.good, note=finding.note, load=load)


async def probe_completion(session: aiohttp.ClientSession, target: Target) -> ProbeResult:
    """Whether it answers as a request would find it: one token, or one vector.

    Here a refusal of the credential or of the model is a failure, since requests would meet it,
    too. An engine that is only busy is left in peace.
    """
    started = time.monotonic()
    path, body = small_request(target)
    try:
        async with session.post(
            target.address + path,
            json=body,
            headers=headers_for(target),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=target.patience),
        ) as answer:
            status, text = answer.status, await read_bounded(answer)
    except FAILURES as error:
        return ProbeResult(good=False, note=describe(path, described(error), since=started))
    said = describe(path, f"status {status}", since=started)
    if status in TOO_BUSY:
        return ProbeResult(good=True, note=said, counts=False)
    if status != 200:  # noqa: PLR2004 - OK
        return ProbeResult(good=False, note=said)
    fine = answers(text, expected="data" if target.embeds else "choices")
    return ProbeResult(good=fine, note=said if fine else f"{said}, but no answer of a model")


def small_request(target: Target) -> tuple[PostPath, dict[str, Any]]:
    if target.embeds:
        return "/v1/embeddings", {"model": target.model, "input": "."}
    message = {"role": "user", "content": "."}
    return "/v1/chat/completions", {
        "model": target.model,
        "messages": [message],
        "max_tokens": 1,
        "temperature": 0,
    }


async def get(session: aiohttp.ClientSession, target: Target, path: GetPath) -> tuple[int, str]:
    """Status and body. Raises one of FAILURES."""
    async with session.get(
        target.address + path,
        headers=headers_for(target),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS),
    ) as answer:
        return answer.status, await read_bounded(answer)


async def read_bounded(answer: aiohttp.ClientResponse) -> str:
    """Raises ValueError if the body is longer than any that we want."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
        parts.append(part)
    return b"".join(parts).decode()


def headers_for(target: Target) -> dict[str, str]:
    return {"authorization": f"Bearer {target.credential}"} if target.credential else {}


def is_alive(status: int) -> bool:
    """A server that refuses the question lives: the path may be ours to mend. One that says that
    it fails does not.
    """
    return status < 500  # noqa: PLR2004 - server errors


def answers(text: str, *, expected: str) -> bool:
    try:
        body = json.loads(text)
    except ValueError:
        return False
    found: Sequence[Any] | None = body.get(expected) if isinstance(body, dict) else None
    return isinstance(found, list) and bool(found)


def described(error: BaseException) -> str:
    """In words that hold no address: operators see it, and so may screenshots."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot be reached"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "hung up"
    return f"failed ({type(error).__name__})"


def describe(path: str, said: str, *, since: float) -> str:
    return f"{path}: {said} after {(time.monotonic() - since) * 1000:.0f} ms"[:MAX_NOTE_CHARS]
