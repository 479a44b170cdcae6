"""Probe requests to engines, limited to an allow-list of paths."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from inference.engines.engine import EngineLoad, MetricNames, read_load
from inference.engines.resolver import EngineResolver

GetPath = Literal["/health", "/healthz", "/ready", "/readyz", "/ping", "/v1/models", "/metrics"]
PostPath = Literal["/v1/chat/completions", "/v1/embeddings"]

PROBE_TIMEOUT_SECONDS = 3.0
MAX_CONCURRENT_PROBES = 50
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_NOTE_CHARS = 200
BUSY_STATUSES = frozenset({408, 429})
PROBE_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""Errors of a probe without a response; ValueError means one that is too long or not text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """An endpoint to probe, and the settings of the probe."""

    id: int
    public_id: str
    address: str
    model: str
    credential: str = field(repr=False)
    path: GetPath
    embeds: bool = False
    """Whether it serves embeddings, so that one is requested instead of a token."""
    timeout_seconds: float = PROBE_TIMEOUT_SECONDS
    metrics: MetricNames | None = None
    """Names of the load metrics; None if the load comes with heartbeats or is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The result of a probe."""

    good: bool
    note: str
    """Path, result and duration for operators, without secrets."""
    load: EngineLoad | None = None
    counts: bool = True
    """Whether the result says anything about the health of the endpoint."""


Probe = Callable[[aiohttp.ClientSession, ProbeTarget], Awaitable[ProbeResult]]


async def probe_all(
    targets: Iterable[ProbeTarget], *, probe: Probe, allow_loopback: bool = False
) -> list[tuple[ProbeTarget, ProbeResult]]:
    """Probe all targets concurrently. Return the results in the order of `targets`.

    `allow_loopback`: names of engines may resolve to this machine.
    """
    gate = asyncio.Semaphore(MAX_CONCURRENT_PROBES)
    resolver = EngineResolver(allow_loopback=allow_loopback)
    connector = aiohttp.TCPConnector(
        limit=MAX_CONCURRENT_PROBES, force_close=True, resolver=resolver
    )
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:

        async def one(target: ProbeTarget) -> tuple[ProbeTarget, ProbeResult]:
            async with gate:
                return target, await probe(session, target)

        return list(await asyncio.gather(*(one(target) for target in targets)))


async def probe_health(session: aiohttp.ClientSession, target: ProbeTarget) -> ProbeResult:
    """Request the pool's probe path, and the load if the target has metrics."""
    started = time.monotonic()
    try:
        status, _ = await get(session, target, target.path)
    except PROBE_ERRORS as error:
        return ProbeResult(
            good=False, note=format_note(target.path, describe_error(error), since=started)
        )
    finding = ProbeResult(
        good=is_alive(status), note=format_note(target.path, f"status {status}", since=started)
    )
    return await with_load(session, target, finding) if target.metrics else finding


async def with_load(
    session: aiohttp.ClientSession, target: ProbeTarget, finding: ProbeResult
) -> ProbeResult:
    """Return `finding` with the engine's load, if it is available."""
    assert target.metrics is not None
    try:
        status, text = await get(session, target, "/metrics")
    except PROBE_ERRORS:
        return finding
    load = read_load(target.metrics, metrics=text) if status == 200 else None  # noqa: PLR2004 - OK
    return ProbeResult(good=finding.good, note=finding.note, load=load)


async def probe_completion(session: aiohttp.ClientSession, target: ProbeTarget) -> ProbeResult:
    """Request one token or one embedding.

    A rejected credential or model is a failure here, since requests would fail too. The response of
    a busy engine does not count.
    """
    started = time.monotonic()
    path, body = small_request(target)
    try:
        async with session.post(
            target.address + path,
            json=body,
            headers=headers_for(target),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=target.timeout_seconds),
        ) as answer:
            status, text = answer.status, await read_bounded(answer)
    except PROBE_ERRORS as error:
        return ProbeResult(good=False, note=format_note(path, describe_error(error), since=started))
    note = format_note(path, f"status {status}", since=started)
    if status in BUSY_STATUSES:
        return ProbeResult(good=True, note=note, counts=False)
    if status != 200:  # noqa: PLR2004 - OK
        return ProbeResult(good=False, note=note)
    fine = has_results(text, expected="data" if target.embeds else "choices")
    return ProbeResult(good=fine, note=note if fine else f"{note}, but not the response of a model")


def small_request(target: ProbeTarget) -> tuple[PostPath, dict[str, Any]]:
    if target.embeds:
        return "/v1/embeddings", {"model": target.model, "input": "."}
    message = {"role": "user", "content": "."}
    return "/v1/chat/completions", {
        "model": target.model,
        "messages": [message],
        "max_tokens": 1,
        "temperature": 0,
    }


async def get(
    session: aiohttp.ClientSession, target: ProbeTarget, path: GetPath
) -> tuple[int, str]:
    """Return status and body. Raises one of PROBE_ERRORS."""
    async with session.get(
        target.address + path,
        headers=headers_for(target),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS),
    ) as answer:
        return answer.status, await read_bounded(answer)


async def read_bounded(answer: aiohttp.ClientResponse) -> str:
    """Return the body. Raises ValueError if it is longer than MAX_ANSWER_BYTES."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ValueError("the response is too long")
        parts.append(part)
    return b"".join(parts).decode()


def headers_for(target: ProbeTarget) -> dict[str, str]:
    return {"authorization": f"Bearer {target.credential}"} if target.credential else {}


def is_alive(status: int) -> bool:
    """Return whether a status means that the engine runs. A client error may be caused by the
    configured path, so only server errors count as failures.
    """
    return status < 500  # noqa: PLR2004 - server errors


def has_results(text: str, *, expected: str) -> bool:
    try:
        body = json.loads(text)
    except ValueError:
        return False
    found: Sequence[Any] | None = body.get(expected) if isinstance(body, dict) else None
    return isinstance(found, list) and bool(found)


def describe_error(error: BaseException) -> str:
    """Return a description of an error without addresses, for operators."""
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot be reached"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "connection closed"
    return f"failed ({type(error).__name__})"


def format_note(path: str, text: str, *, since: float) -> str:
    return f"{path}: {text} after {(time.monotonic() - since) * 1000:.0f} ms"[:MAX_NOTE_CHARS]
