"""Script calls to Redis: those of one tick of the event loop go out together.

A pipeline has a connection of its own until all its answers are read; a connection that was left
in any other way is closed. So whatever is cancelled or late, no answer reaches another caller.
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
from tenants.admission.limits.errors import CountersAway
from tenants.admission.redis_counters.breaker import Breaker
from tenants.admission.redis_counters.clock import RedisClock
from tenants.admission.redis_counters.resp import Call, is_unknown, loading, pack_words
from tenants.admission.redis_counters.scripts import Script

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.25
"""For the answers to a pipeline: a slow Redis and a busy machine cost latency, not answers. A Redis
that hangs adds it to requests until the breaker opens, after less than a second.
"""
PROBE_SECONDS = 1.0
"""For an answer to a probe, for which no request waits."""
MAX_PIPELINES = 4
"""At the same time. What comes while all are under way goes out with the next."""
MAX_CALLS_PER_PIPELINE = 16
"""In a pipeline. Redis answers a whole one at once: so while it works on the next, this process
works on the answers, instead of each waiting for the other."""
LATE_SECONDS = 0.005
"""If a timer fires so late, this process was busy, and the answer may have been here for long."""
MAX_EXCUSES = 4
"""So often is such a timer set anew, for as long as it was late."""
MIN_CREDIT_SECONDS = 0.04
OUR_FAULT = ("user_script", "WRONGTYPE")
"""How errors begin that say nothing about Redis' health."""

PROBE = pack_words(b"SET", READY_KEY.encode(), b"", b"EX", b"%d" % READY_KEY_SECONDS)

Reply = list[Any]
Waiting = tuple[Call, "asyncio.Future[Reply]"]


class Pipelines:
    """Sends calls, and gives each caller its own answer in time (`patience`) or CountersAway."""

    def __init__(
        self,
        redis: Redis,
        *,
        clock: RedisClock,
        breaker: Breaker,
        patience: float,
    ) -> None:
        self._pool = redis.connection_pool
        self._patience = patience
        self._clock = clock
        self._breaker = breaker
        self._idle: list[AbstractConnection] = []
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[Waiting] = []
        self._probing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, call: Call) -> "asyncio.Future[Reply]":
        """The answer to come. Raises CountersAway at once while the breaker is open."""
        loop = asyncio.get_running_loop()
        if self._breaker.is_open:
            is_probing = self._probing is not None and not self._probing.done()
            if not is_probing and self._breaker.may_pass():
                self._probing = loop.create_task(self._probe())
            raise CountersAway
        future: asyncio.Future[Reply] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((call, future))
        return future

    async def ask(self, call: Call) -> Reply:
        """The answer. Raises CountersAway."""
        return await self.send(call)

    async def aclose(self) -> None:
        """Fail what is under way and close the connections."""
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
        """Nothing may leave this without an answer to each caller."""
        batch = [waiting for waiting in batch if not waiting[1].done()]
        patience = Patience(self._patience)
        try:
            healthy = await self._exchange(batch)
        except (RedisError, OSError) as error:
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._fail(batch, TimeoutError("no answer in time"))
            if not patience.lost:
                raise
        else:
            if healthy:
                self._breaker.note_success()
            else:
                self._breaker.note_failure()
        finally:
            patience.end()

    def _fail(self, batch: list[Waiting], error: Exception) -> None:
        self._breaker.note_failure()
        log.warning("counters: no answer from Redis (error=%s)", error.__class__.__name__)
        if self._breaker.is_open:
            # Those behind them would only wait as long, one after the other.
            batch, self._waiting = batch + self._waiting, []
        for _, future in batch:
            if not future.done():
                future.set_exception(CountersAway())

    async def _probe(self) -> None:
        """Write once while the breaker is open. Only a Redis that takes writes closes it."""
        patience = Patience(max(self._patience, PROBE_SECONDS))
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
            if not patience.lost:
                raise
        finally:
            patience.end()
            if connection is not None:
                await connection.disconnect(nowait=True)

    async def _exchange(self, batch: list[Waiting]) -> bool:
        """Whether the answers are those of a healthy Redis."""
        if not batch:
            return True
        connection = await self._take()
        clean = False
        try:
            healthy = await self._ask(connection, batch)
            clean = True
        finally:
            if clean:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)
        return healthy

    async def _ask(self, connection: AbstractConnection, batch: list[Waiting]) -> bool:
        unknown, healthy = await self._talk(connection, batch)
        if unknown:
            await self._load(connection, {call.script for call, _ in unknown})
            odd, known = await self._talk(connection, unknown)
            if odd:
                raise Garbled("a script is unknown although it was told")
            healthy = healthy and known
        return healthy

    async def _load(self, connection: AbstractConnection, scripts: set[Script]) -> None:
        await connection.send_packed_command(list(map(loading, scripts)), check_health=False)
        for _ in scripts:
            reply = await read(connection)
            if isinstance(reply, ResponseError):
                log.warning("counters: script not loaded: %s", reply)

    async def _talk(
        self, connection: AbstractConnection, batch: list[Waiting]
    ) -> tuple[list[Waiting], bool]:
        """Say everything, and give each answer on as it comes: while one is worked on, Redis makes
        the next. Returns those whose script Redis does not know, and whether it is healthy.
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
                log.warning("counters: Redis answered with an error: %s", reply)
                healthy = healthy and str(reply).startswith(OUR_FAULT)
                if not future.done():
                    future.set_exception(CountersAway())
            else:
                if number == 0:
                    self._clock.learn(reply[2], sent=sent, received=time.monotonic())
                if not future.done():
                    future.set_result(reply)
        return unknown, healthy

    async def _take(self) -> AbstractConnection:
        """A connection that nobody uses and on which nothing is left to be read."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                # It also says yes to a connection that the server has closed.
                if connection.is_connected and not await connection.can_read():
                    return connection
                await connection.disconnect(nowait=True)
            # A task that is done may not have run its callbacks yet. To wait for it would not yield
            # to them, so this loop would never end.
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(self._connect())
                self._connecting.add_done_callback(self._connected)
            # Connecting may take longer than the patience of those who wait for it.
            await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        # From here on `Patience` watches over it, at a tenth of the price.
        connection.socket_timeout = None
        self._idle.append(connection)

    def _connected(self, task: "asyncio.Task[None]") -> None:
        if self._connecting is task:
            self._connecting = None
        if not task.cancelled() and task.exception():
            log.debug("counters: connection failed (error=%s)", task.exception())


class Patience:
    """Cancels the current task when its time is over, and says so."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = self._loop.time() + seconds
        self._excuses = 0
        self.lost = False
        self._timer = self._loop.call_at(self._until, self._lose)

    def end(self) -> None:
        self._timer.cancel()

    def _lose(self) -> None:
        now = self._loop.time()
        lag = now - self._until
        if lag > LATE_SECONDS and self._excuses < MAX_EXCUSES:
            self._excuses += 1
            self._until = now + min(max(lag, MIN_CREDIT_SECONDS), self._seconds)
            self._timer = self._loop.call_at(self._until, self._lose)
            return
        self.lost = True
        self._task.cancel()


class Garbled(RedisError):
    """Redis answered what no script of ours says."""


async def read(connection: AbstractConnection) -> Reply | ResponseError:
    try:
        reply: Reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as error:
        return error
    return reply


def check_address(call: Call, reply: Reply | ResponseError) -> None:
    """Raises Garbled if an answer is not for this call."""
    if isinstance(reply, ResponseError):
        return
    if not isinstance(reply, list) or len(reply) < 3 or reply[0] != call.tag:  # noqa: PLR2004
        raise Garbled("an answer is not for its question")
    if type(reply[1]) is not int or type(reply[2]) is not int:
        raise Garbled("an answer is not a script's")
