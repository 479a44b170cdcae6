"""Script calls to Redis. The calls of one iteration of the event loop are sent in one pipeline.

A pipeline uses a connection exclusively until all responses are read; otherwise the connection is
closed. A cancelled or late call can therefore never deliver its response to another caller.
"""

import asyncio
import logging
import math
import time
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from kernel.storage.redis import READY_KEY, READY_KEY_SECONDS
from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.redis_counters.breaker import RedisBreaker
from tenants.admission.redis_counters.clock import RedisClock
from tenants.admission.redis_counters.resp import RedisCall, is_unknown, loading, pack_words
from tenants.admission.redis_counters.scripts import Script

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.25
"""Timeout of the responses to a pipeline. If Redis hangs, requests are delayed by it until the
breaker opens, after less than a second.
"""
PROBE_SECONDS = 1.0
"""Timeout of a probe, which delays no request."""
MAX_PIPELINES = 4
"""Maximum number of concurrent pipelines. Further calls wait for the next one."""
MAX_CALLS_PER_PIPELINE = 16
"""Redis sends all responses of a pipeline at once. With small pipelines this process handles
responses while Redis executes the next pipeline."""
LATE_SECONDS = 0.005
"""Delay of a timer from which the process counts as busy: the response may have arrived already."""
MAX_TIMER_EXTENSIONS = 4
"""Maximum number of times that such a timer is extended by its delay."""
MIN_EXTENSION_SECONDS = 0.04
CALLER_ERRORS = ("user_script", "WRONGTYPE")
"""Prefixes of error responses of a healthy Redis."""

PROBE = pack_words(b"SET", READY_KEY.encode(), b"", b"EX", b"%d" % READY_KEY_SECONDS)

Reply = list[Any]
Waiting = tuple[RedisCall, "asyncio.Future[Reply]"]


class Pipelines:
    """Sends calls. Each gets its response within `timeout` seconds, or CountersUnavailable."""

    def __init__(
        self,
        redis: Redis,
        *,
        clock: RedisClock,
        breaker: RedisBreaker,
        timeout: float,
    ) -> None:
        self._pool = redis.connection_pool
        self._timeout = timeout
        self._clock = clock
        self._breaker = breaker
        self._idle: list[AbstractConnection] = []
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[Waiting] = []
        self._probing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, call: RedisCall) -> "asyncio.Future[Reply]":
        """Return a future of the response. Raises CountersUnavailable while the breaker is open."""
        loop = asyncio.get_running_loop()
        if self._breaker.is_open:
            is_probing = self._probing is not None and not self._probing.done()
            if not is_probing and self._breaker.may_pass():
                self._probing = loop.create_task(self._probe())
            raise CountersUnavailable
        future: asyncio.Future[Reply] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((call, future))
        return future

    async def fetch(self, call: RedisCall) -> Reply:
        """Return the response. Raises CountersUnavailable."""
        return await self.send(call)

    async def aclose(self) -> None:
        """Cancel all pending calls and close the connections."""
        others = [each for each in (self._connecting, self._probing) if each is not None]
        tasks = [*self._tasks, *others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._idle:
            await self._idle.pop().disconnect()

    def _flush(self) -> None:
        if not self._waiting or len(self._tasks) >= MAX_PIPELINES:
            return
        batch, self._waiting = (
            self._waiting[:MAX_CALLS_PER_PIPELINE],
            self._waiting[MAX_CALLS_PER_PIPELINE:],
        )
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._flush()

    async def _run(self, batch: list[Waiting]) -> None:
        """Send a batch. Each caller always gets a response or an error."""
        batch = [waiting for waiting in batch if not waiting[1].done()]
        timeout = ReplyTimeout(self._timeout)
        try:
            healthy = await self._exchange(batch)
        except (RedisError, OSError) as error:
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._fail(batch, TimeoutError("no answer in time"))
            if not timeout.expired:
                raise
        else:
            if healthy:
                self._breaker.note_success()
            else:
                self._breaker.note_failure()
        finally:
            timeout.end()

    def _fail(self, batch: list[Waiting], error: Exception) -> None:
        self._breaker.note_failure()
        log.warning("counters: no response from Redis (error=%s)", error.__class__.__name__)
        if self._breaker.is_open:
            # The waiting calls would time out too, one pipeline after the other.
            batch, self._waiting = batch + self._waiting, []
        for _, future in batch:
            if not future.done():
                future.set_exception(CountersUnavailable())

    async def _probe(self) -> None:
        """Write a key while the breaker is open. Only a successful write closes the breaker."""
        timeout = ReplyTimeout(max(self._timeout, PROBE_SECONDS))
        connection: AbstractConnection | None = None
        try:
            connection = await self._take()
            await connection.send_packed_command(PROBE, check_health=False)
            await connection.read_response(timeout=math.inf)
            self._idle.append(connection)
            connection = None
            self._breaker.note_success()
        except (RedisError, OSError):
            self._breaker.note_failure()
        except asyncio.CancelledError:
            self._breaker.note_failure()
            if not timeout.expired:
                raise
        finally:
            timeout.end()
            if connection is not None:
                await connection.disconnect(nowait=True)

    async def _exchange(self, batch: list[Waiting]) -> bool:
        """Send a batch and read its responses. Return whether Redis is healthy."""
        if not batch:
            return True
        connection = await self._take()
        clean = False
        try:
            healthy = await self._call(connection, batch)
            clean = True
        finally:
            if clean:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)
        return healthy

    async def _call(self, connection: AbstractConnection, batch: list[Waiting]) -> bool:
        unknown, healthy = await self._send_and_read(connection, batch)
        if unknown:
            await self._load(connection, {call.script for call, _ in unknown})
            still_unknown, known = await self._send_and_read(connection, unknown)
            if still_unknown:
                raise UnexpectedReply("a script is unknown although it was loaded")
            healthy = healthy and known
        return healthy

    async def _load(self, connection: AbstractConnection, scripts: set[Script]) -> None:
        await connection.send_packed_command(list(map(loading, scripts)), check_health=False)
        for _ in scripts:
            reply = await read(connection)
            if isinstance(reply, ResponseError):
                log.warning("counters: script not loaded: %s", reply)

    async def _send_and_read(
        self, connection: AbstractConnection, batch: list[Waiting]
    ) -> tuple[list[Waiting], bool]:
        """Send all calls, and deliver each response as it arrives.

        Return the calls whose script is not loaded, and whether Redis is healthy.
        """
        sent = time.monotonic()
        packed = [call.packed for call, _ in batch]
        await connection.send_packed_command(packed, check_health=False)
        unknown: list[Waiting] = []
        healthy = True
        for number, (call, future) in enumerate(batch):
            reply = await read(connection)
            check_address(call, reply)
            if is_unknown(reply):
                unknown.append((call, future))
            elif isinstance(reply, ResponseError):
                log.warning("counters: error response from Redis: %s", reply)
                healthy = healthy and str(reply).startswith(CALLER_ERRORS)
                if not future.done():
                    future.set_exception(CountersUnavailable())
            else:
                if number == 0:
                    self._clock.learn(reply[2], sent=sent, received=time.monotonic())
                if not future.done():
                    future.set_result(reply)
        return unknown, healthy

    async def _take(self) -> AbstractConnection:
        """Return an idle connection without unread data, or a new one."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                # `can_read` is also true for a connection that the server has closed.
                if connection.is_connected and not await connection.can_read():
                    return connection
                await connection.disconnect(nowait=True)
            # The callbacks of a finished task may not have run yet. Awaiting the task would not
            # yield to them, so this loop would never end.
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(self._connect())
                self._connecting.add_done_callback(self._connected)
            # Connecting may take longer than the timeout of the callers.
            await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        # ReplyTimeout limits the reads instead, at a tenth of the cost.
        connection.socket_timeout = None
        self._idle.append(connection)

    def _connected(self, task: "asyncio.Task[None]") -> None:
        if self._connecting is task:
            self._connecting = None
        if not task.cancelled() and task.exception():
            log.debug("counters: connection failed (error=%s)", task.exception())


class ReplyTimeout:
    """Cancels the current task after a timeout, and sets `expired`."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._expires_at = self._loop.time() + seconds
        self._extensions = 0
        self.expired = False
        self._timer = self._loop.call_at(self._expires_at, self._expire)

    def end(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        now = self._loop.time()
        lag = now - self._expires_at
        if lag > LATE_SECONDS and self._extensions < MAX_TIMER_EXTENSIONS:
            self._extensions += 1
            self._expires_at = now + min(max(lag, MIN_EXTENSION_SECONDS), self._seconds)
            self._timer = self._loop.call_at(self._expires_at, self._expire)
            return
        self.expired = True
        self._task.cancel()


class UnexpectedReply(RedisError):
    """Redis sent a response that no script returns."""


async def read(connection: AbstractConnection) -> Reply | ResponseError:
    try:
        reply: Reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as error:
        return error
    return reply


def check_address(call: RedisCall, reply: Reply | ResponseError) -> None:
    """Raise UnexpectedReply if a response is not for this call."""
    if isinstance(reply, ResponseError):
        return
    if not isinstance(reply, list) or len(reply) < 3 or reply[0] != call.tag:  # noqa: PLR2004
        raise UnexpectedReply("a response belongs to another call")
    if type(reply[1]) is not int or type(reply[2]) is not int:
        raise UnexpectedReply("a response is not that of a script")
