"""The turns of one pool: so many requests run in it at once, and the others wait for theirs."""

import asyncio
import time
from collections.abc import Callable
from math import inf

from inference.fleet.capacity import capacity_of, worker_share
from inference.fleet.fairness import NOBODY, TenantServiceCounter, TenantServiceCounters
from inference.fleet.snapshot import Pool
from inference.queueing.fair_queue import FairQueue
from inference.relay.route_trace import RouteTrace
from inference.relay.slot import PoolSlot
from kernel import metrics
from kernel.errors import Overloaded

EPOCH = 1_735_689_600
"""The start of 2025: keeps priorities small, and alike in every worker."""
SETTLED_SECONDS = 1.0
"""Twice the time in which workers tell each other what they work on."""
FIRST_GUESS_SECONDS = 1.0
SMOOTHING = 0.1
MAX_RETRY_SECONDS = 300.0

Elsewhere = Callable[[str], int]
"""How many requests the other workers run in the pool of this name, as far as this one heard."""
Workers = Callable[[], int]
"""How many gateway workers there are, this one included."""


class QueuedRequest:
    """A request in the queue, and what it is told in the end."""

    __slots__ = ("account", "answer", "tokens")

    def __init__(self, account: TenantServiceCounter, tokens: int) -> None:
        self.account = account
        self.tokens = tokens
        self.answer: asyncio.Future[PoolSlot | Overloaded] = (
            asyncio.get_running_loop().create_future()
        )


class PoolQueue:
    """Hands turns out and takes them back."""

    def __init__(self, pool: Pool, *, elsewhere: Elsewhere, workers: Workers) -> None:
        self._elsewhere = elsewhere
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._accounts = TenantServiceCounters()
        self._queue: FairQueue[QueuedRequest] = FairQueue(self._accounts)
        self._depth = metrics.series(metrics.queue_depth, pool.name)
        self._waits = metrics.series(metrics.queue_wait, pool.name)
        self._mean_seconds = 0.0
        """How long turns are held."""
        self._pressed_since = inf
        self._looked = self._loop.time()
        self.running = 0
        self.renew(pool)

    def renew(self, pool: Pool) -> None:
        """The pool as it is published now."""
        self.pool = pool
        self._capacity = capacity_of(pool)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, route_trace: RouteTrace) -> PoolSlot | None:
        """A slot, if no request waits for one and there is capacity."""
        if self._queue or self.running >= self._limit():
            return None
        account = self._accounts.of(route_trace.tenant_id, weight=route_trace.weight)
        self._accounts.activate(account, least=NOBODY)
        return self._grant(account, route_trace.tokens)

    async def wait(self, route_trace: RouteTrace) -> PoolSlot:
        """A turn as soon as it is this request's. Raises Overloaded if that is too long.

        Cancelled, it leaves the queue at once.
        """
        account = self._accounts.of(route_trace.tenant_id, weight=route_trace.weight)
        waiting = QueuedRequest(account, route_trace.tokens)
        self._join(waiting)
        started = self._loop.time()
        timer = self._loop.call_later(self.pool.queue_seconds, self._expire, waiting)
        answer = None
        try:
            answer = await waiting.answer
        finally:
            timer.cancel()
            waited = self._loop.time() - started
            route_trace.waited += waited
            if answer is None:
                self._withdraw(waiting)
        if isinstance(answer, Overloaded):
            raise answer
        self._waits.observe(waited)
        return answer

    def _join(self, waiting: QueuedRequest) -> None:
        dropped = self._queue.join(waiting, waiting.account, room=self.pool.queue_length)
        if dropped is waiting:
            raise self._refusal("Too many requests wait for this model.")
        if dropped is not None:
            self._refuse(dropped, "Too many requests wait for this model.")
        self.advance()

    def _expire(self, waiting: QueuedRequest) -> None:
        if self._queue.leave(waiting, waiting.account):
            self._depth.set(len(self._queue))
            self._refuse(waiting, "This model had no room for the request in time.")

    def _refuse(self, waiting: QueuedRequest, reason: str) -> None:
        if not waiting.answer.done():
            waiting.answer.set_result(self._refusal(reason))

    def _refusal(self, reason: str) -> Overloaded:
        metrics.series(metrics.refusals, Overloaded.code, "pool").inc()
        return Overloaded(f"{reason} Try again when Retry-After says.", retry_after=self.delay())

    def _withdraw(self, waiting: QueuedRequest) -> None:
        """Its client left, perhaps at the moment in which its turn came."""
        if self._queue.leave(waiting, waiting.account):
            self._depth.set(len(self._queue))
        elif not waiting.answer.cancelled():
            answer = waiting.answer.result()
            if isinstance(answer, PoolSlot):
                answer.used(prompt_tokens=0, completion_tokens=0)

    def delay(self) -> float:
        """Seconds until all that waits now has been sent, at the pace of the last answers."""
        mean = self._mean_seconds or FIRST_GUESS_SECONDS
        delay = (len(self._queue) + 1) * mean / max(1, self.running)
        return min(max(delay, 1.0), MAX_RETRY_SECONDS)

    def advance(self) -> None:
        """Send the next requests, as far as there is capacity."""
        while self._queue and self.running < self._limit():
            waiting = self._queue.next()
            # One that is done was cancelled a moment ago, and leaves by itself.
            if not waiting.answer.done():
                waiting.answer.set_result(self._grant(waiting.account, waiting.tokens))
        self._depth.set(len(self._queue))

    def _grant(self, account: TenantServiceCounter, tokens: int) -> PoolSlot:
        priority = self._priority(account)
        share = account.charge(tokens)
        self._queue.moved(account)
        self.running += 1
        return PoolSlot(
            account,
            share=share,
            priority=priority,
            since=self._loop.time(),
            give_back=self._take_back,
            correct=self._correct,
        )

    def _priority(self, account: TenantServiceCounter) -> int:
        """Milliseconds at which it is the tenant's turn: so old requests never starve."""
        if not self.pool.sends_priority:
            return 0
        return int((time.time() - EPOCH + self._accounts.lead_seconds(account)) * 1000)

    def _take_back(self, turn: PoolSlot) -> None:
        self.running -= 1
        turn.account.end(turn.share)
        held = self._loop.time() - turn.since
        self._mean_seconds += (held - self._mean_seconds) * (
            SMOOTHING if self._mean_seconds else 1.0
        )
        if self._queue:
            self._queue.moved(turn.account)
            self.advance()

    def _correct(self, turn: PoolSlot, cost: int) -> None:
        self._accounts.correct(turn.account, turn.share, cost)
        self._queue.moved(turn.account)

    def look(self, now: float) -> None:
        """What others left may be taken, and idle tenants are forgotten."""
        seconds, self._looked = now - self._looked, now
        self._accounts.look(seconds=seconds, waiting=self._queue, least=self._queue.least())
        self.advance()

    def _limit(self) -> float:
        capacity = self._capacity
        if not capacity:
            return inf  # the relay knows better what to say than a queue that does not move
        workers = self._workers()
        if workers == 1:
            return capacity
        return self._part(capacity, workers)

    def _part(self, capacity: int, workers: int) -> int:
        now = self._loop.time()
        if self.running < capacity // workers:
            self._pressed_since = inf
        elif self._pressed_since == inf:
            self._pressed_since = now
        return worker_share(
            capacity=capacity,
            workers=workers,
            elsewhere=self._elsewhere(self.pool.name),
            settled=now - self._pressed_since >= SETTLED_SECONDS,
        )
