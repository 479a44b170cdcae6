"""Opens an exchange: chooses an endpoint, sends the request, and retries on another endpoint."""

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
from inference.relay.connection import EngineResponse
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
"""Upper bound of the pause before the first retry; it doubles with every further one."""


class Relay:
    """Passes requests on to the endpoints of a pool."""

    def __init__(
        self, *, upstream: Upstream, balancer: EndpointBalancer, watch: Watchdog, rng: random.Random
    ) -> None:
        self._upstream = upstream
        self._balancer = balancer
        self._watch = watch
        self._rng = rng
        self._limit_names = LimitNames()
        self.budget = RetryBudget()
        """Limits the retries and hedges of this worker."""

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """Send a request to one of the pool's endpoints; `encode` encodes it for the chosen one.

        The first part of the response has arrived, and nothing has been sent to the client, so
        failed attempts are not visible. Raises Starting, NoEndpointAvailable, and the failure of
        the last endpoint.
        """
        if not route_trace.visited:
            self.budget.add_request()
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
                route_trace.record_failure(candidate, error)
                metrics.retries.inc()
                await self._back_off(route_trace, error)

    def _choose(self, route_trace: RouteTrace) -> EndpointState:
        candidate = self._balancer.choose(
            route_trace.pool, route_trace.context, visited=route_trace.visited
        )
        pool = route_trace.pool
        route_trace.record_choice(
            candidate, self._balancer.field(pool), self._balancer.excluded(pool)
        )
        return candidate

    def _may_retry(self, route_trace: RouteTrace, error: PlatformError) -> bool:
        if route_trace.attempts >= MAX_ATTEMPTS or isinstance(error, UpstreamTimeout):
            return False
        if all(each.endpoint.id in route_trace.visited for each in self._others(route_trace)):
            return False
        # A request that reached no engine adds no load, so its retry costs no budget.
        return isinstance(error, ConnectFailed) or self.budget.take()

    def _others(self, route_trace: RouteTrace) -> tuple[EndpointState, ...]:
        return self._balancer.field(route_trace.pool).candidates

    async def _back_off(self, route_trace: RouteTrace, error: PlatformError) -> None:
        """Wait with full jitter, so that requests that failed together do not retry together."""
        if not isinstance(error, ConnectFailed):
            max_pause_seconds = FIRST_PAUSE_SECONDS * 2 ** (route_trace.attempts - 1)
            await asyncio.sleep(self._rng.uniform(0, max_pause_seconds))

    async def _attempt(
        self, pool: Pool, candidate: EndpointState, path: Path, encode: Encode
    ) -> Exchange:
        """Send the request to one endpoint and wait for the first valid part of its response."""
        lease = self._balancer.start_request(pool, candidate)
        metrics.series(metrics.upstream_requests, pool.name, candidate.endpoint.id).inc()
        started = time.monotonic()
        try:
            exchange = await self._send(pool, candidate, path, encode, lease)
        except BaseException as error:
            lease.release()
            self._record_outcome(pool, candidate, error)
            raise
        self._balancer.note_first_token(pool, candidate, seconds=time.monotonic() - started)
        return exchange

    async def _send(
        self, pool: Pool, candidate: EndpointState, path: Path, encode: Encode, lease: Lease
    ) -> Exchange:
        """Send the request, again if the engine closed a reused connection before reading it, or
        requires the other name of the token limit.
        """
        post = self._upstream.post
        while True:
            endpoint = self._limit_names.adapted(candidate.endpoint)
            answer = await post(endpoint, path, encode(endpoint), pool=pool)
            exchange = self._exchange(answer, pool, candidate, lease)
            try:
                await exchange.fetch_first(path, SseBuffer(keep_usage=True))
            except UpstreamError:
                exchange.disconnect()
                if not exchange.is_stale:
                    raise
                # A new connection cannot be stale, so this happens once.
                post = self._upstream.post_on_new_connection
                continue
            except BaseException:
                exchange.disconnect()
                raise
            if not self._limit_names.learn(endpoint, exchange):
                return exchange
            exchange.disconnect()

    def _exchange(
        self, answer: EngineResponse, pool: Pool, candidate: EndpointState, lease: Lease
    ) -> Exchange:
        return Exchange(
            answer,
            pool=pool,
            endpoint=candidate.endpoint,
            lease=lease,
            watch=self._watch,
            on_failure=partial(self._record_outcome, pool, candidate),
            on_success=partial(self._balancer.note_success, pool, candidate),
        )

    def _record_outcome(self, pool: Pool, candidate: EndpointState, error: BaseException) -> None:
        """Record the outcome of an attempt. An overloaded engine counts as healthy."""
        if not isinstance(error, UpstreamError | Overloaded):
            # Cancelled: the client left, another endpoint was faster, or the worker stops.
            self._balancer.note_neutral(pool, candidate)
            return
        name = candidate.endpoint.id
        metrics.series(metrics.upstream_errors, pool.name, name, error.code).inc()
        if isinstance(error, Overloaded):
            self._balancer.note_overloaded(pool, candidate)
        elif isinstance(error, ConnectFailed) and error.was_refused:
            self._balancer.note_refused(pool, candidate)
        else:
            self._balancer.note_failure(pool, candidate)

    async def _open_hedged(
        self, route_trace: RouteTrace, path: Path, encode: Encode, *, after: float
    ) -> Exchange:
        """Send to a second endpoint if the first has not responded within `after` seconds, and
        use the first response.

        The other exchange is closed. Tokens that it had generated by then are not billed.
        """
        first = asyncio.create_task(self._open(route_trace, path, encode))
        try:
            done, _ = await asyncio.wait({first}, timeout=after)
            if done or not self._acquire_hedge(route_trace):
                return await first
        except asyncio.CancelledError:
            await cancel_exchange(first)
            raise
        try:
            second = asyncio.create_task(self._open_second(route_trace, path, encode))
            return await first_of(first, second)
        finally:
            route_trace.end_hedge()

    def _acquire_hedge(self, route_trace: RouteTrace) -> bool:
        """Take a slot and a retry for a hedge; False if either, or another endpoint, is missing."""
        others = (each.endpoint.id for each in self._others(route_trace))
        if all(name in route_trace.visited for name in others) or not route_trace.start_hedge():
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
    """Return the first exchange that opens and close the others. Raises the last failure if none
    does.
    """
    waiting = set(tasks)
    error: BaseException = NoEndpointAvailable()
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    others = [each for each in tasks if each is not task]
                    await asyncio.gather(*map(cancel_exchange, others))
                    return task.result()
                error = task.exception() or error
    except asyncio.CancelledError:
        await asyncio.gather(*map(cancel_exchange, tasks))
        raise
    raise error


async def cancel_exchange(task: asyncio.Task[Exchange]) -> None:
    """Close an exchange, open or still opening, even if this call is cancelled."""
    task.add_done_callback(close_opened)
    task.cancel()
    await asyncio.wait({task})


def close_opened(task: asyncio.Task[Exchange]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
