"""One exchange with an engine: a request sent, an answer received, and nothing left behind."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from inference.errors import UpstreamBroken, UpstreamTimeout
from inference.fleet.in_flight import Lease
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.answers.engine_answers import ensure_completion, ensure_vectors, readable
from inference.relay.answers.refusals import COMPLAINTS, failure_of
from inference.relay.connection import Answer
from inference.relay.watchdog import Watchdog
from kernel.errors import PlatformError, Rejected, UpstreamError

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""A thousand vectors of 2,000 numbers. It is in memory as a whole, and for a moment twice."""
MAX_ERROR_BYTES = 64 * 1024
AFTER_FINISH_TIMEOUT_SECONDS = 5.0
"""That an engine which has finished every choice is waited for, so that it can end its stream."""
OK = 200
JSON = b"application/json"
EVENTS = b"text/event-stream"
ENSURE = {"/v1/chat/completions": ensure_completion, "/v1/embeddings": ensure_vectors}
"""What a whole answer has to be, by the path that was asked."""


class Stream(Protocol):
    """What makes events of the bytes of an answer: an `SseBuffer`."""

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
        watch: Watchdog,
        broke: Callable[[UpstreamError], None] = ignore,
        ended: Callable[[], None] = ignore,
    ) -> None:
        """`broke` is told what the engine did wrong, `ended` that it did nothing wrong at all."""
        self._broke = broke
        self._ended = ended
        self._answer = answer
        self._lease = lease
        self._watch = watch
        self._patience = pool.first_token_timeout
        self._stream: Stream | None = None
        self._progress = 0
        self._waited_before = 0.0
        """Seconds that the engine was waited for before it made its last progress."""
        self.pool = pool
        self.endpoint = endpoint
        self.queued = 0.0
        """Seconds that the request waited for its turn before."""
        self.refusal = b""
        """What the engine says against the request; empty if it does not."""
        self._when_ended: Callable[[], None] | None = None
        watch.join(self)

    @property
    def status(self) -> int:
        """HTTP's; 0 before the first part of the answer is there."""
        return self._answer.status

    @property
    def waited(self) -> float:
        """Seconds spent waiting for the engine, and before that for its turn."""
        return self.queued + self._answer.waited

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
        """Give up on an engine that makes no progress for longer than its pool allows. Comments and
        pings are none.
        """
        stream = self._stream
        if stream is not None and stream.progress != self._progress:
            self._progress = stream.progress
            self._note_progress()
            if stream.is_complete:
                self._patience = min(self._patience, AFTER_FINISH_TIMEOUT_SECONDS)
        # How long the client takes to be written to is not the engine's fault.
        answer = self._answer
        silence = now - answer.waiting_since + answer.waited - self._waited_before
        if silence > self._patience:
            self._answer.fail(UpstreamTimeout())

    @property
    def is_stale(self) -> bool:
        """Whether the engine had closed this connection, a used one, before it saw the request."""
        return self._answer.is_stale

    @property
    def _media_type(self) -> bytes:
        """In small letters, as media types compare; with its parameters."""
        return self._answer.headers.get(b"content-type", b"").lower()

    async def fetch_first(self, path: str, stream: Stream) -> None:
        """Wait for as much as shows that an answer comes: the first chunk of a stream, or all of an
        answer that is no stream, or of a refusal. `stream` is a new one, to look for that chunk.

        Raises UpstreamError and Overloaded for what another endpoint may do better. What is wrong
        with the request itself is left to `ensure_success`, unless it came with status 200.
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
        """With the comments before it. Raises UpstreamBroken if there are too many of them."""
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

    def abandon(self) -> None:
        """Free what it holds. Harmless on one that was left."""
        self.hang_up()
        self._lease.release()

    def hang_up(self) -> None:
        """Leave the answer, but keep the endpoint's lease: it is asked once more."""
        self._watch.leave(self)
        self._answer.leave()

    async def read(self) -> bytes:
        """What has arrived since the last call; empty at the end of the answer.

        Raises UpstreamTimeout and UpstreamBroken.
        """
        return await self._answer.read()

    def _note_progress(self) -> None:
        """A part of the answer has come."""
        self._waited_before = self._answer.waited
        self._patience = self.pool.token_timeout

    async def read_block(self, stream: Stream) -> bytes:
        """The next complete events, as `stream` makes them of this answer. They are the last ones
        if the stream is `finished` then.

        Raises UpstreamTimeout, and UpstreamBroken if the engine stops before it is done.
        """
        answer, self._stream = self._answer, stream
        while True:
            if stream.failure is not None:
                raise stream.failure  # what the last events said; nothing comes after it
            try:
                while (data := answer.take()) is None:
                    await answer.change()
            except UpstreamError:
                if not stream.is_complete:
                    raise
                data = b""  # every choice was finished: nothing of the answer is missing
            block = stream.feed(data) if data else stream.close()
            if block or stream.finished:
                return block

    async def answer(self) -> bytes:
        """The whole body, in valid UTF-8. Raises UpstreamTimeout, and UpstreamBroken beyond
        MAX_ANSWER_BYTES.
        """
        whole = await self._whole(await self.read())
        return whole if whole.isascii() else readable(whole)

    async def _whole(self, data: bytes) -> bytes:
        if self._answer.is_read:
            return data
        parts = await self._read_up_to(MAX_ANSWER_BYTES, data)
        # Not put together first: what is too long is long enough once.
        if sum(map(len, parts)) > MAX_ANSWER_BYTES:
            raise UpstreamBroken
        return b"".join(parts)

    async def _read_up_to(self, limit: int, data: bytes) -> list[bytes]:
        """`data` and what comes after it, to the end or to a little more than `limit` bytes."""
        parts, size = [data], len(data)
        while data and size <= limit:
            if not data.isspace():
                self._note_progress()  # some engines send empty lines while they work
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

    def _ensure_complaint(self, body: bytes) -> None:
        """Raises the failure of an endpoint, where another one may do better: that is every status
        which is not about the request itself.
        """
        failure = failure_of(self.status, body, headers=self._answer.headers)
        if not isinstance(failure, Rejected):
            raise failure

    def _ensure_engine(self) -> None:
        """Raises UpstreamError for a page of something that is no engine, and for an answer that
        is packed, which nobody asked for.
        """
        packing = self._answer.headers.get(b"content-encoding", b"identity").lower()
        if packing != b"identity" or not self._media_type.startswith((JSON, EVENTS)):
            raise UpstreamError

    async def ensure_success(self, *, content_type: str) -> None:
        """Raises the caller's or the engine's failure if this is not the answer we asked for."""
        if self.status != OK:
            body = b"".join(await self._read_up_to(MAX_ERROR_BYTES, await self.read()))
            raise failure_of(self.status, body, headers=self._answer.headers)
        if not self._media_type.startswith(content_type.encode()):
            raise UpstreamError
