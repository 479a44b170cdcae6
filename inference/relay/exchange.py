"""One request to an engine and its response. All resources are freed when it ends."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from inference.errors import UpstreamBroken, UpstreamTimeout
from inference.fleet.in_flight import Lease
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.answers.engine_answers import ensure_completion, ensure_vectors, readable
from inference.relay.answers.refusals import COMPLAINTS, failure_of
from inference.relay.connection import EngineResponse
from inference.relay.watchdog import Watchdog
from kernel.errors import PlatformError, Rejected, UpstreamError

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Room for 1,000 embeddings of 2,000 numbers. The body is held in memory, briefly twice."""
MAX_ERROR_BYTES = 64 * 1024
AFTER_FINISH_TIMEOUT_SECONDS = 5.0
"""Timeout for the end of a stream after its last choice has finished."""
OK = 200
JSON = b"application/json"
EVENTS = b"text/event-stream"
ENSURE = {"/v1/chat/completions": ensure_completion, "/v1/embeddings": ensure_vectors}
"""Check of a complete response, by the path of the request."""


class Stream(Protocol):
    """Parser that splits the bytes of a response into events: an `SseBuffer`."""

    events: int
    finished: bool
    failure: PlatformError | None

    @property
    def is_complete(self) -> bool: ...

    @property
    def is_between_events(self) -> bool: ...

    @property
    def progress(self) -> int: ...

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...


def ignore(*_: object) -> None:
    """Default callback of an exchange whose outcome is not recorded."""


class Exchange:
    """A response that is being received. Leaving the block frees its connection and its lease.

    If the response was not read to its end, the connection is closed, so that the engine stops
    generating.
    """

    def __init__(
        self,
        answer: EngineResponse,
        *,
        pool: Pool,
        endpoint: Endpoint,
        lease: Lease,
        watch: Watchdog,
        on_failure: Callable[[UpstreamError], None] = ignore,
        on_success: Callable[[], None] = ignore,
    ) -> None:
        """`on_failure` is called with an error of the engine, `on_success` after a success."""
        self._on_failure = on_failure
        self._on_success = on_success
        self._answer = answer
        self._lease = lease
        self._watch = watch
        self._silence_timeout = pool.first_token_timeout
        self._stream: Stream | None = None
        self._progress = 0
        self._waited_before = 0.0
        """Seconds spent waiting for the engine before its last progress."""
        self.pool = pool
        self.endpoint = endpoint
        self.queued = 0.0
        """Seconds that the request spent in the queue before it was sent."""
        self.refusal = b""
        """Body with which the engine rejected the request; empty if it accepted it."""
        self._on_end: Callable[[], None] | None = None
        watch.join(self)

    @property
    def status(self) -> int:
        """HTTP status; 0 before the head of the response has arrived."""
        return self._answer.status

    @property
    def waited(self) -> float:
        """Seconds spent waiting in the queue and for the engine."""
        return self.queued + self._answer.waited

    def on_end(self, call: Callable[[], None]) -> None:
        """Set the function to call when the block is left. A second call replaces the first."""
        self._on_end = call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UpstreamError):
            self._on_failure(error)
        elif error is None or isinstance(error, Rejected):
            self._on_success()
        self.close()
        if self._on_end is not None:
            self._on_end()

    def tick(self, now: float) -> None:
        """Fail the response if the engine has made no progress for longer than its pool allows.
        Comments and pings are not progress.
        """
        stream = self._stream
        if stream is not None and stream.progress != self._progress:
            self._progress = stream.progress
            self._note_progress()
            if stream.is_complete:
                self._silence_timeout = min(self._silence_timeout, AFTER_FINISH_TIMEOUT_SECONDS)
        # Time spent writing to a slow client does not count as silence of the engine.
        answer = self._answer
        silence = now - answer.waiting_since + answer.waited - self._waited_before
        if silence > self._silence_timeout:
            self._answer.fail(UpstreamTimeout())

    @property
    def is_stale(self) -> bool:
        """Whether the engine had closed this reused connection before it received the request."""
        return self._answer.is_stale

    @property
    def _media_type(self) -> bytes:
        """Content type in lower case, with its parameters."""
        return self._answer.headers.get(b"content-type", b"").lower()

    async def fetch_first(self, path: str, stream: Stream) -> None:
        """Wait for the first chunk of a stream, or for the complete body of any other response or
        of a rejection. `stream` is a new parser, used to find that chunk.

        Raises UpstreamError and Overloaded for failures that another endpoint may not have. Errors
        of the request itself are left to `ensure_success`, unless they came with status 200.
        """
        first = await self.read()
        if self.status != OK:
            if self.status in COMPLAINTS:
                self.refusal = first = b"".join(await self._read_up_to(MAX_ERROR_BYTES, first))
            self._answer.put_back(first)
            self._ensure_complaint(first)
            return
        self._ensure_engine()
        if self._media_type.startswith(EVENTS):
            first = await self._up_to_first_chunk(first, stream)
        else:
            first = await self._whole(first)
            ENSURE[path](first)
        self._answer.put_back(first)

    async def _up_to_first_chunk(self, data: bytes, stream: Stream) -> bytes:
        """Return the stream up to its first chunk, with the comments before it.

        Raises UpstreamBroken if the comments exceed MAX_ANSWER_BYTES.
        """
        parts, size = [data], len(data)
        while data:
            if size > MAX_ANSWER_BYTES:
                raise UpstreamBroken
            stream.feed(data)
            if stream.events or stream.finished:
                self._note_progress()
                return b"".join(parts)
            data = await self.read()
            if not (stream.is_between_events and data.isspace()):
                parts.append(data)
            size += len(data)
        stream.close()
        return b"".join(parts)

    def close(self) -> None:
        """Free the connection and the lease. May be called more than once."""
        self.disconnect()
        self._lease.release()

    def disconnect(self) -> None:
        """Free the connection, but keep the endpoint's lease for another attempt."""
        self._watch.leave(self)
        self._answer.release()

    async def read(self) -> bytes:
        """Return the bytes received since the last call; empty at the end of the response.

        Raises UpstreamTimeout and UpstreamBroken.
        """
        return await self._answer.read()

    def _note_progress(self) -> None:
        """Record that a part of the response has arrived."""
        self._waited_before = self._answer.waited
        self._silence_timeout = self.pool.token_timeout

    async def read_block(self, stream: Stream) -> bytes:
        """Return the next complete events, as parsed by `stream`. They are the last ones if the
        stream is `finished` afterwards.

        Raises UpstreamTimeout, and UpstreamBroken if the engine stops before the end.
        """
        answer, self._stream = self._answer, stream
        while True:
            if stream.failure is not None:
                raise stream.failure  # reported by the last events
            try:
                while (data := answer.take()) is None:
                    await answer.next_change()
            except UpstreamError:
                if not stream.is_complete:
                    raise
                data = b""  # every choice was finished: the response is complete
            block = stream.feed(data) if data else stream.close()
            if block or stream.finished:
                return block

    async def answer(self) -> bytes:
        """Return the whole body in valid UTF-8.

        Raises UpstreamTimeout, and UpstreamBroken beyond MAX_ANSWER_BYTES.
        """
        whole = await self._whole(await self.read())
        return whole if whole.isascii() else readable(whole)

    async def _whole(self, data: bytes) -> bytes:
        if self._answer.is_read:
            return data
        parts = await self._read_up_to(MAX_ANSWER_BYTES, data)
        # Checked before joining, so that a body that is too long is not copied.
        if sum(map(len, parts)) > MAX_ANSWER_BYTES:
            raise UpstreamBroken
        return b"".join(parts)

    async def _read_up_to(self, limit: int, data: bytes) -> list[bytes]:
        """Return `data` and what follows it, up to the end or slightly more than `limit` bytes."""
        parts, size = [data], len(data)
        while data and size <= limit:
            if not data.isspace():
                self._note_progress()  # some engines send empty lines while they work
            data = await self.read()
            parts.append(data)
            size += len(data)
        return parts

    async def finish(self) -> None:
        """Read to the end, so that the connection can be reused."""
        if self._answer.is_read:
            return
        try:
            async with asyncio.timeout(1):
                while await self.read():
                    continue
        except (TimeoutError, PlatformError):
            return  # the client has its response; only the connection is lost

    def _ensure_complaint(self, body: bytes) -> None:
        """Raise UpstreamError or Overloaded for a failure of the endpoint: every error status that
        is not about the request itself.
        """
        failure = failure_of(self.status, body, headers=self._answer.headers)
        if not isinstance(failure, Rejected):
            raise failure

    def _ensure_engine(self) -> None:
        """Raise UpstreamError for a response of another media type, such as the page of a proxy,
        and for a compressed one, which was not requested.
        """
        packing = self._answer.headers.get(b"content-encoding", b"identity").lower()
        if packing != b"identity" or not self._media_type.startswith((JSON, EVENTS)):
            raise UpstreamError

    async def ensure_success(self, *, content_type: str) -> None:
        """Raise the error of the caller or the engine unless this is a success of this type."""
        if self.status != OK:
            body = b"".join(await self._read_up_to(MAX_ERROR_BYTES, await self.read()))
            raise failure_of(self.status, body, headers=self._answer.headers)
        if not self._media_type.startswith(content_type.encode()):
            raise UpstreamError
