"""Opening an exchange: choose an endpoint, send, and try another one if the first cannot."""

import asyncio
import random
import time
from functools import partial

from inference.errors import NoEndpointAvailable, UpstreamTimeout
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import EndpointState
from inference.fleet.in_flight import Lease
from inference.fleet.retry_budget import RetryBudget
from inference.fleet.snapshot import Pool
from inference.relay.connection import Answer
from inference.relay.exchange import Exchange
from inference.relay.opener import Encode
from inference.relay.requests.limit_names import LimitNames
from inference.relay.route_trace import RouteTrace
from inference.relay.sse import SseBuffer
from inference.relay.upstream import ConnectFailed, Path, Upstream
from inference.relay.watchdog import Watchdog
from kernel import metrics
from kernel.errors import Overloaded, PlatformError, UpstreamError

MAX_ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.05
"""The most that the first retry waits; each further one waits up to twice as long."""


class Relay:
    """Passes requests on to the endpoints of a pool."""

    def __init__(
        self, *, upstream: Upstream, board: EndpointBalancer, watch: Watchdog, rng: random.Random
    ) -> None:
        self._upstream = upstream
        self._board = board
        self._watch = watch
        self._rng = rng
        self._limit_names = LimitNames()
        self.budget = RetryBudget()
        """What this worker may still send a second time."""

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """Send a request to one of the pool's endpoints; `encode` renders it for the chosen one.

        The first part of the answer is there, so nothing has to be taken back if another endpoint
        is tried. Raises Starting, NoEndpointAvailable, and what the last endpoint failed with.
        """
        if not route_trace.visited:
            self.budget.asked()
        if route_trace.pool.hedge_after is not None:
            return await self._open_hedged(
                route_trace, path, encode, after=route_trace.pool.hedge_after
            )
        return await self._open(route_trace, path, encode)

    async def _open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        while True:
            candidate = self._choose(route_trace)
            try:
                return await self._attempt(route_trace.pool, candidate, path, encode)
            except (UpstreamError, Overloaded) as error:
                if not self._may_retry(route_trace, error):
                    raise
                route_trace.failed(candidate, error)
                metrics.retries.inc()
                await self._pause(route_trace, error)

    def _choose(self, route_trace: RouteTrace) -> EndpointState:
        candidate = self._board.choose(
            route_trace.pool, route_trace.context, visited=route_trace.visited
        )
        pool = route_trace.pool
        route_trace.record_choice(candidate, self._board.field(pool), self._board.left_out(pool))
        return candidate

    def _may_retry(self, route_trace: RouteTrace, error: PlatformError) -> bool:
        if route_trace.attempts >= MAX_ATTEMPTS or isinstance(error, UpstreamTimeout):
            return False
        if all(each.endpoint.id in route_trace.visited for each in self._others(route_trace)):
            return False
        # What certainly reached nobody adds nothing to anybody's load.
        return isinstance(error, ConnectFailed) or self.budget.take()

    def _others(self, route_trace: RouteTrace) -> tuple[EndpointState, ...]:
        return self._board.field(route_trace.pool).candidates

    async def _pause(self, route_trace: RouteTrace, error: PlatformError) -> None:
        """With full jitter, so that those who failed together do not come back together."""
        if not isinstance(error, ConnectFailed):
            most = FIRST_PAUSE_SECONDS * 2 ** (route_trace.attempts - 1)
            await asyncio.sleep(self._rng.uniform(0, most))

    async def _attempt(
        self, pool: Pool, candidate: EndpointState, path: Path, encode: Encode
    ) -> Exchange:
        """Ask one endpoint. The first part of its answer is there, and is no failure of its own."""
        lease = self._board.begin(pool, candidate)
        started = time.monotonic()
        try:
            exchange = await self._ask(pool, candidate, path, encode, lease)
        except BaseException as error:
            lease.release()
            self._note(pool, candidate, error)
            raise
        self._board.answered(pool, candidate, seconds=time.monotonic() - started)
        return exchange

    async def _ask(
        self, pool: Pool, candidate: EndpointState, path: Path, encode: Encode, lease: Lease
    ) -> Exchange:
        """Send the request; once more where the engine has certainly not worked on it."""
        post = self._upstream.post
        while True:
            endpoint = self._limit_names.adapted(candidate.endpoint)
            answer = await post(endpoint, path, encode(endpoint), pool=pool)
            exchange = self._exchange(answer, pool, candidate, lease)
            try:
                await exchange.fetch_first(path, SseBuffer(keep_usage=True))
            except UpstreamError:
                exchange.hang_up()
                if not exchange.is_stale:
                    raise
                # Never stale a second time: a new connection has not been used before.
                post = self._upstream.post_on_new_connection
                continue
            except BaseException:
                exchange.hang_up()
                raise
            if not self._limit_names.learn(endpoint, exchange):
                return exchange
            exchange.hang_up()

    def _exchange(
        self, answer: Answer, pool: Pool, candidate: EndpointState, lease: Lease
    ) -> Exchange:
        return Exchange(
            answer,
            pool=pool,
            endpoint=candidate.endpoint,
            lease=lease,
            watch=self._watch,
            broke=partial(self._note, pool, candidate),
            ended=partial(self._board.ended_well, pool, candidate),
        )

    def _note(self, pool: Pool, candidate: EndpointState, error: BaseException) -> None:
        """Whose fault it was: an engine that has too much to do is in good health."""
        if not isinstance(error, UpstreamError | Overloaded):
            # Cancelled: the client left, another endpoint was faster, or the worker stops.
            self._board.note_neutral(pool, candidate)
            return
        name = candidate.endpoint.id
        metrics.series(metrics.upstream_errors, pool.name, name, error.code).inc()
        if isinstance(error, Overloaded):
            self._board.note_overloaded(pool, candidate)
        elif isinstance(error, ConnectFailed) and error.was_refused:
            self._board.refused(pool, candidate)
        else:
            self._board.failed(pool, candidate)

    async def _open_hedged(
        self, route_trace: RouteTrace, path: Path, encode: Encode, *, after: float
    ) -> Exchange:
        """Ask a second endpoint if the first says nothing for so long; who answers first wins.

        The other one is cut off. What it had generated by then is not billed.
        """
        first = asyncio.create_task(self._open(route_trace, path, encode))
        try:
            done, _ = await asyncio.wait({first}, timeout=after)
            if done or not self._can_hedge(route_trace):
                return await first
        except asyncio.CancelledError:
            await drop(first)
            raise
        try:
            second = asyncio.create_task(self._open_second(route_trace, path, encode))
            return await first_of(first, second)
        finally:
            route_trace.end_hedge()

    def _can_hedge(self, route_trace: RouteTrace) -> bool:
        """Whether there is another endpoint, a place in the pool for one more, and a retry left."""
        others = (each.endpoint.id for each in self._others(route_trace))
        if all(name in route_trace.visited for name in others) or not route_trace.begin_hedge():
            return False
        if self.budget.take():
            return True
        route_trace.end_hedge()
        return False

    async def _open_second(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        route_trace.hedged = True
        metrics.retries.inc()
        candidate = self._choose(route_trace)
        return await self._attempt(route_trace.pool, candidate, path, encode)


async def first_of(*tasks: asyncio.Task[Exchange]) -> Exchange:
    """The first exchange that is opened; the others are cut off. Raises if none is."""
    waiting = set(tasks)
    error: BaseException = NoEndpointAvailable()
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    others = [each for each in tasks if each is not task]
                    await asyncio.gather(*map(drop, others))
                    return task.result()
                error = task.exception() or error
    except asyncio.CancelledError:
        await asyncio.gather(*map(drop, tasks))
        raise
    raise error


async def drop(task: asyncio.Task[Exchange]) -> None:
    """Cut an exchange off, whether it is open already or not, even if this call is cancelled."""
    task.add_done_callback(abandon)
    task.cancel()
    await asyncio.wait({task})


def abandon(task: asyncio.Task[Exchange]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abandon()
