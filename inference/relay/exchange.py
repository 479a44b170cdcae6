"""One exchange with an engine: a request sent, an answer received, and nothing left behind."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from inference.errors import ContextLengthExceeded, UpstreamBroken, UpstreamTimeout
from inference.fleet.in_flight import Lease
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.connection import Answer
from inference.relay.usage import UNREADABLE
from inference.relay.watch import Watch
from kernel.errors import InvalidParameter, Overloaded, PlatformError, Rejected, UpstreamError

LONGEST_ANSWER = 32 * 1024 * 1024
"""A thousand vectors of 2,000 numbers. It is in memory as a whole, and for a moment twice."""
LONGEST_ERROR = 64 * 1024
LONGEST_MESSAGE = 500
NEVER = float("inf")
OK = 200
TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses with which another endpoint may do better."""
KINDS = (b"application/json", b"text/event-stream")
"""What engines answer with."""


def nobody_minds(*_: object) -> None:
    """For an exchange whose engine nobody keeps a record of."""


class Exchange:
    """An answer that is being received. Leaving the block frees all it held.

    An answer that was not read to its end is cut off, which is how an engine learns to stop.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        pool: Pool,
        endpoint: Endpoint,
        lease: Lease,
        watch: Watch,
        broke: Callable[[UpstreamError], None] = nobody_minds,
        ended: Callable[[], None] = nobody_minds,
    ) -> None:
        """`broke` is told what the engine did wrong, `ended` that it did nothing wrong at all."""
        self._broke = broke
        self._ended = ended
        self._first: bytes | None = None
        self._answer = answer
        self._lease = lease
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._patience = pool.first_token_timeout
        self._reading_since = NEVER
        self.pool = pool
        self.endpoint = endpoint
        self.waited = 0.0
        """Seconds spent waiting for the engine, and before that for its turn."""
        self._when_ended: Callable[[], None] | None = None
        watch.join(self)

    @property
    def status(self) -> int:
        """HTTP's; 0 before the first part of the answer is there."""
        return self._answer.status

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this when the block is left. One caller only."""
        self._when_ended = call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UpstreamError):
            self._broke(error)
        elif error is None or isinstance(error, Rejected):
            self._ended()
        self.abandon()
        if self._when_ended is not None:
            self._when_ended()

    def look(self, now: float) -> None:
        """Give up on an engine that is silent for longer than its pool allows."""
        if now - self._reading_since > self._patience:
            self._answer.fail(UpstreamTimeout())

    async def fetch_first(self) -> None:
        """Wait for the first part of the answer. Raises UpstreamError, as `read` does."""
        self._first = await self.read()

    def abandon(self) -> None:
        """Free what it holds. Harmless on one that was left."""
        self._watch.leave(self)
        self._answer.leave()
        self._lease.release()

    async def read(self) -> bytes:
        """What has arrived since the last call; empty at the end of the answer.

        Raises UpstreamTimeout and UpstreamBroken.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        started = self._reading_since = self._loop.time()
        try:
            data = await self._answer.read()
        finally:
            # How long the client takes to be written to is not the engine's fault.
            self._reading_since = NEVER
            self.waited += self._loop.time() - started
        self._patience = self.pool.token_timeout
        return data

    async def answer(self) -> bytes:
        """The whole body. Raises UpstreamTimeout, and UpstreamBroken beyond LONGEST_ANSWER."""
        data = await self.read()
        if self._answer.is_read:
            return data
        parts = await self._read_up_to(LONGEST_ANSWER, data)
        # Not put together first: what is too long is long enough once.
        if sum(map(len, parts)) > LONGEST_ANSWER:
            raise UpstreamBroken
        return b"".join(parts)

    async def _read_up_to(self, limit: int, data: bytes) -> list[bytes]:
        """`data` and what comes after it, to the end or to a little more than `limit` bytes."""
        parts, size = [data], len(data)
        while data and size <= limit:
            data = await self.read()
            parts.append(data)
            size += len(data)
        return parts

    async def finish(self) -> None:
        """Read to the end, so that the connection can serve another request."""
        if self._answer.is_read:
            return
        try:
            async with asyncio.timeout(1):
                while await self.read():
                    continue
        except (TimeoutError, PlatformError):
            return  # the client has its answer; only the connection is lost

    def ensure_no_passing_failure(self) -> None:
        """Raises, by the answer's head, what another endpoint may do better: a failure that passes,
        or a page of something that is no engine, or is packed, which nobody asked for.
        """
        if self.status in TRANSIENT:
            raise failure_of(self.status, b"")
        headers = self._answer.headers
        is_plain = headers.get(b"content-encoding", b"identity") == b"identity"
        is_engines = is_plain and headers.get(b"content-type", b"").startswith(KINDS)
        if self.status == OK and not is_engines:
            raise UpstreamError

    async def ensure_success(self, *, content_type: str) -> None:
        """Raises the caller's or the engine's failure if this is not the answer we asked for."""
        if self.status != OK:
            said = await self._read_up_to(LONGEST_ERROR, await self.read())
            raise failure_of(self.status, b"".join(said))
        if not self._answer.headers.get(b"content-type", b"").startswith(content_type.encode()):
            raise UpstreamError


class EngineError(msgspec.Struct):
    """The shapes of an engine's complaint: `{"error": {"message"}}` and, older, `{"message"}`."""

    error: Any = None
    message: Any = None


def failure_of(status: int, body: bytes) -> PlatformError:
    """Whose fault it was. Only a complaint about the request itself is told to the caller."""
    if status in {400, 413, 422}:
        message = complaint_of(body)
        too_long = "context" in message.lower()
        return ContextLengthExceeded(message) if too_long else InvalidParameter(message)
    if status in {429, 503}:
        return Overloaded()
    return UpstreamError()


def complaint_of(body: bytes) -> str:
    """The engine's sentence about a request, shortened; a general one if it has none."""
    try:
        answer = msgspec.json.decode(body, type=EngineError)
    except UNREADABLE:
        return ""
    error = answer.error
    message = error.get("message") if isinstance(error, dict) else error or answer.message
    return message[:LONGEST_MESSAGE] if isinstance(message, str) else ""
