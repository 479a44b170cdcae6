"""Load on a loopback port: as fast as it goes, at a steady rate, or many paced streams at once."""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

HOST = "127.0.0.1"
CONNECTIONS = 64
PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Say hello to everybody who reads this benchmark."}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a load goes, and what it carries."""

    name: str
    port: int
    model: str = "bench"
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    """Of every request."""

    def body(self, **more: object) -> str:
        always = {"model": self.model, "messages": MESSAGES, "max_tokens": 16}
        request = {**always, **self.options, **more}
        return json.dumps(request, separators=(",", ":"))

    def request(self, **more: object) -> bytes:
        """The request as it goes over the wire."""
        body = self.body(**more).encode()
        lines = [
            f"POST {PATH} HTTP/1.1",
            f"host: {HOST}:{self.port}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """A closed loop: every connection asks again as soon as it has its answer."""

    per_second: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float


def measure_throughput(target: Target, *, seconds: float) -> Throughput:
    """With wrk if it is installed; with our own generator, which is slower, if not."""
    if shutil.which("wrk") is None:
        return run(closed_loop(target, seconds=seconds))
    return wrk(target, seconds=seconds)


def wrk(target: Target, *, seconds: float) -> Throughput:
    script = Path(__file__).with_name("post.lua")
    headers = [f"{name}:{value}" for name, value in target.headers.items()]
    command = [
        *("wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds:g}s", "--timeout", "10s"),
        *("--latency", "-s", str(script), f"http://{HOST}:{target.port}{PATH}"),
        *("--", target.body(), *headers),
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed.rsplit("RESULT ", 1)[1])
    return Throughput(
        per_second=(found["requests"] - found["refused"]) / (found["micros"] / 1e6),
        refused=found["refused"],
        broken=found["broken"],
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
    )


class Client:
    """One keep-alive connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, target: Target) -> "Client":
        return cls(*await asyncio.open_connection(HOST, target.port))

    async def ask(self, request: bytes) -> int:
        """The status, once the whole answer is there."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, found, rest = head.partition(b"content-length:")
        if found:
            await self._reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        else:
            await self._reader.readuntil(b"\r\n0\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    async def first_event(self, request: bytes) -> float | None:
        """When the first event of a streamed answer came; None if it was refused."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            self.close()
            return None
        await self._reader.readuntil(b"data: ")
        came = time.perf_counter()
        await self._reader.readuntil(b"\r\n0\r\n\r\n")
        return came

    def close(self) -> None:
        self._writer.close()


async def closed_loop(target: Target, *, seconds: float) -> Throughput:
    request = target.request()
    start = time.perf_counter()
    took: list[float] = []
    refused = 0

    async def one() -> None:
        nonlocal refused
        client = await Client.connect(target)
        while (began := time.perf_counter()) < start + seconds:
            refused += await client.ask(request) != 200
            took.append(time.perf_counter() - began)
        client.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    elapsed = time.perf_counter() - start
    return Throughput(
        per_second=(len(took) - refused) / elapsed,
        refused=refused,
        broken=0,
        p50_ms=percentile(took, 50) * 1000,
        p99_ms=percentile(took, 99) * 1000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """An open loop: requests start by the clock, whether the ones before are answered or not."""

    p50_ms: float
    p99_ms: float
    requests: int
    refused: int


def measure_latency(target: Target, *, per_second: int, seconds: float) -> Latency:
    return run(open_loop(target, per_second=per_second, seconds=seconds))


async def open_loop(target: Target, *, per_second: int, seconds: float) -> Latency:
    request = target.request()
    idle: list[Client] = [await Client.connect(target) for _ in range(8)]
    loop = asyncio.get_running_loop()
    took: list[float] = []
    refused = 0

    async def one() -> None:
        nonlocal refused
        began = time.perf_counter()
        client = idle.pop() if idle else await Client.connect(target)
        refused += await client.ask(request) != 200
        took.append(time.perf_counter() - began)
        idle.append(client)

    start, tasks = loop.time(), []
    for index in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, start + index / per_second - loop.time()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return Latency(
        p50_ms=percentile(took, 50) * 1000,
        p99_ms=percentile(took, 99) * 1000,
        requests=len(took),
        refused=refused,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Many streams at once, whose tokens come at the pace of an engine."""

    opened: int
    complete: int
    """Status 200, every token, and [DONE]."""
    events: int
    """Tokens and other events that arrived, of all streams."""
    seconds_p50: float
    first_token_p50_ms: float
    first_token_p99_ms: float
    longest_gap_p99_ms: float

    @property
    def success(self) -> float:
        return self.complete / self.opened


class Stream(asyncio.Protocol):
    """One streamed answer: counts its events and its silences, and keeps none of it."""

    transport: Any
    """uvloop's is an asyncio.Transport in all but its base class."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_ok = False
        self.is_done = False
        self.events = 0
        self.first_at = self.last_at = self.longest_gap = 0.0
        self.began_at = time.perf_counter()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        joined = self._tail + data
        if not self._tail:
            self.is_ok = b" 200 " in joined[:16]
        # One byte less than the pattern: an event cut by a read is counted once.
        self._tail = joined[-5:]
        events = joined.count(b"data: ")
        if events:
            self._note(events, now)
        if b"[DONE]" in joined or not self.is_ok:
            self.is_done = self.is_ok
            self.transport.close()

    def _note(self, events: int, now: float) -> None:
        self.events += events
        self.first_at = self.first_at or now
        if self.last_at:
            self.longest_gap = max(self.longest_gap, now - self.last_at)
        self.last_at = now

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def measure_streams(target: Target, *, streams: int, tokens: int) -> Streams:
    return run(paced_streams(target, streams=streams, tokens=tokens))


async def paced_streams(target: Target, *, streams: int, tokens: int) -> Streams:
    """Opened over one second, so that the handshakes are not what is measured."""
    loop = asyncio.get_running_loop()
    options = {"include_usage": True, "continuous_usage_stats": True}
    request = target.request(stream=True, max_tokens=tokens, stream_options=options)
    opened: list[Stream] = []
    for _ in range(streams):
        _, stream = await loop.create_connection(lambda: Stream(request), HOST, target.port)
        opened.append(stream)
        await asyncio.sleep(1 / streams)
    await asyncio.wait([stream.ended for stream in opened], timeout=tokens * 0.02 * 3 + 10)
    complete = [stream for stream in opened if stream.is_done and stream.events >= tokens]
    firsts = [stream.first_at - stream.began_at for stream in complete] or [0.0]
    whole = [stream.last_at - stream.began_at for stream in complete] or [0.0]
    return Streams(
        opened=len(opened),
        complete=len(complete),
        events=sum(stream.events for stream in opened),
        seconds_p50=percentile(whole, 50),
        first_token_p50_ms=percentile(firsts, 50) * 1000,
        first_token_p99_ms=percentile(firsts, 99) * 1000,
        longest_gap_p99_ms=percentile([stream.longest_gap for stream in complete] or [0.0], 99)
        * 1000,
    )


def percentile(values: list[float], rank: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
