"""The queue of one pool: it limits the running requests, and queues the others."""

import asyncio
import time
from collections.abc import Callable
from math import inf

from inference.fleet.capacity import capacity_of, worker_share
from inference.fleet.fairness import NONE_WAITING, TenantServiceCounter, TenantServiceCounters
from inference.fleet.snapshot import Pool
from inference.queueing.fair_queue import FairQueue
from inference.relay.route_trace import RouteTrace
from inference.relay.slot import PoolSlot
from kernel import metrics
from kernel.errors import Overloaded

EPOCH = 1_735_689_600
"""2025-01-01 in seconds since 1970: keeps priorities small, and equal in all workers."""
SETTLED_SECONDS = 1.0
"""Twice the interval at which workers exchange their state."""
DEFAULT_HOLD_SECONDS = 1.0
SMOOTHING = 0.1
MAX_RETRY_SECONDS = 300.0

Elsewhere = Callable[[str], int]
"""The running requests of the other workers in a pool, by its name, as last reported."""
Workers = Callable[[], int]
"""The number of gateway workers, including this one."""


class QueuedRequest:
    """A request in the queue, with the future of its slot or rejection."""

    __slots__ = ("answer", "counter", "tokens")

    def __init__(self, counter: TenantServiceCounter, tokens: int) -> None:
        self.counter = counter
        self.tokens = tokens
        self.answer: asyncio.Future[PoolSlot | Overloaded] = (
            asyncio.get_running_loop().create_future()
        )


class PoolQueue:
    """Grants slots of one pool to requests."""

    def __init__(self, pool: Pool, *, elsewhere: Elsewhere, workers: Workers) -> None:
        self._elsewhere = elsewhere
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._counters = TenantServiceCounters()
        self._queue: FairQueue[QueuedRequest] = FairQueue(self._counters)
        self._depth = metrics.series(metrics.queue_depth, pool.name)
        self._waits = metrics.series(metrics.queue_wait, pool.name)
        self._mean_seconds = 0.0
        """Smoothed seconds for which slots are held."""
        self._pressed_since = inf
        self._ticked_at = self._loop.time()
        self.running = 0
        self.renew(pool)

    def renew(self, pool: Pool) -> None:
        """Apply the pool as it is published now."""
        self.pool = pool
        self._capacity = capacity_of(pool)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, route_trace: RouteTrace) -> PoolSlot | None:
        """Return a slot if no request is queued and there is capacity; None otherwise."""
        if self._queue or self.running >= self._limit():
            return None
        counter = self._counters.of(route_trace.tenant_id, weight=route_trace.weight)
        self._counters.activate(counter, min_counter=NONE_WAITING)
        return self._grant(counter, route_trace.tokens)

    async def wait(self, route_trace: RouteTrace) -> PoolSlot:
        """Wait for a slot. Raises Overloaded after `queue_seconds`, and if the queue is full.

        A cancelled request leaves the queue at once.
        """
        counter = self._counters.of(route_trace.tenant_id, weight=route_trace.weight)
        waiting = QueuedRequest(counter, route_trace.tokens)
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
            self._waits.observe(waited)
            if answer is None:
                self._withdraw(waiting)
        if isinstance(answer, Overloaded):
            raise answer
        return answer

    def _join(self, waiting: QueuedRequest) -> None:
        dropped = self._queue.join(waiting, waiting.counter, room=self.pool.queue_length)
        if dropped is waiting:
            raise self._refusal("The queue of this model is full.")
        if dropped is not None:
            self._refuse(dropped, "The queue of this model is full.")
        self.advance()

    def _expire(self, waiting: QueuedRequest) -> None:
        if self._queue.leave(waiting, waiting.counter):
            self._depth.set(len(self._queue))
            self._refuse(waiting, "No capacity became free for this model in time.")

    def _refuse(self, waiting: QueuedRequest, reason: str) -> None:
        if not waiting.answer.done():
            waiting.answer.set_result(self._refusal(reason))

    def _refusal(self, reason: str) -> Overloaded:
        metrics.series(metrics.refusals, Overloaded.code, "pool").inc()
        return Overloaded(f"{reason} Try again when Retry-After says.", retry_after=self.delay())

    def _withdraw(self, waiting: QueuedRequest) -> None:
        """Remove a cancelled request, and release a slot that it was granted meanwhile."""
        if self._queue.leave(waiting, waiting.counter):
            self._depth.set(len(self._queue))
        elif not waiting.answer.cancelled():
            answer = waiting.answer.result()
            if isinstance(answer, PoolSlot):
                answer.used(prompt_tokens=0, completion_tokens=0)

    def delay(self) -> float:
        """Return the estimated seconds until the queue is empty, for Retry-After."""
        mean = self._mean_seconds or DEFAULT_HOLD_SECONDS
        delay = (len(self._queue) + 1) * mean / max(1, self.running)
        return min(max(delay, 1.0), MAX_RETRY_SECONDS)

    def advance(self) -> None:
        """Grant slots to the next requests, up to the capacity."""
        while self._queue and self.running < self._limit():
            waiting = self._queue.next()
            # A request that is done was cancelled, and leaves the queue itself.
            if not waiting.answer.done():
                waiting.answer.set_result(self._grant(waiting.counter, waiting.tokens))
        self._depth.set(len(self._queue))

    def _grant(self, counter: TenantServiceCounter, tokens: int) -> PoolSlot:
        priority = self._priority(counter)
        share = counter.charge(tokens)
        self._queue.moved(counter)
        self.running += 1
        return PoolSlot(
            counter,
            share=share,
            priority=priority,
            since=self._loop.time(),
            release=self._release,
            correct=self._correct,
        )

    def _priority(self, counter: TenantServiceCounter) -> int:
        """Milliseconds since EPOCH, so that old requests do not starve; the lowest is next."""
        if not self.pool.sends_priority:
            return 0
        return int((time.time() - EPOCH + self._counters.lead_seconds(counter)) * 1000)

    def _release(self, slot: PoolSlot) -> None:
        self.running -= 1
        slot.counter.end(slot.share)
        held = self._loop.time() - slot.since
        self._mean_seconds += (held - self._mean_seconds) * (
            SMOOTHING if self._mean_seconds else 1.0
        )
        if self._queue:
            self._queue.moved(slot.counter)
            self.advance()

    def _correct(self, slot: PoolSlot, cost: int) -> None:
        self._counters.correct(slot.counter, slot.share, cost)
        self._queue.moved(slot.counter)

    def tick(self, now: float) -> None:
        """Use capacity that other workers released, and delete counters of idle tenants."""
        seconds, self._ticked_at = now - self._ticked_at, now
        self._counters.tick(
            seconds=seconds, waiting=self._queue, min_counter=self._queue.min_counter()
        )
        self.advance()

    def _limit(self) -> float:
        capacity = self._capacity
        if not capacity:
            return inf  # the relay reports that no endpoint is ready
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
