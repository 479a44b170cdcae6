"""Admits requests to pools: acquires a slot, opens the exchange, and releases the slot."""

import asyncio
from functools import partial

from inference.fleet.snapshot import Endpoint, FleetReference, Pool
from inference.queueing.pool_queue import Elsewhere, PoolQueue, Workers
from inference.relay.encoding import with_priority
from inference.relay.exchange import Exchange
from inference.relay.opener import Encode, ExchangeOpener
from inference.relay.route_trace import RouteTrace
from inference.relay.slot import PoolSlot
from inference.relay.upstream import Path

TICK_SECONDS = 0.5
"""Seconds between two ticks, the interval at which workers exchange their state."""


def none_elsewhere(_: str) -> int:
    """Return the number of requests of other workers if there are none."""
    return 0


def one_worker() -> int:
    return 1


class Dispatcher:
    """Limits the running requests of each pool; the others wait in a fair queue."""

    def __init__(
        self,
        relay: ExchangeOpener,
        *,
        fleet: FleetReference,
        elsewhere: Elsewhere = none_elsewhere,
        workers: Workers = one_worker,
    ) -> None:
        self._relay = relay
        self._fleet = fleet
        self._snapshot = fleet.current
        self._elsewhere = elsewhere
        self._workers = workers
        self._pools: dict[str, PoolQueue] = {}

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """Wait for a slot of the pool, then send the request.

        Raises Overloaded if the request waits too long, or if the queue is full.
        """
        queue = self._queue_of(route_trace.pool)
        slot = queue.take(route_trace)
        if slot is None:
            slot = await queue.wait(route_trace)
            # The endpoints may have changed while the request waited.
            route_trace.pool = queue.pool
        route_trace.slot = slot
        route_trace.take_slot = partial(queue.take, route_trace)
        exchange = None
        try:
            exchange = await self._relay.open(
                route_trace, path, prioritized(encode, route_trace, slot)
            )
        finally:
            if exchange is None:
                slot.release()
        exchange.queued = route_trace.waited
        exchange.on_end(slot.release)
        return exchange

    def _queue_of(self, pool: Pool) -> PoolQueue:
        queue = self._pools.get(pool.name)
        if queue is None:
            queue = PoolQueue(pool, elsewhere=self._elsewhere, workers=self._workers)
            self._pools[pool.name] = queue
        elif queue.pool is not pool:
            queue.renew(pool)
        return queue

    def waiting(self) -> dict[str, int]:
        """Return the number of queued requests of this worker, by pool."""
        return {name: queue.waiting for name, queue in self._pools.items()}

    def running(self) -> dict[str, int]:
        """Return the number of running requests of this worker, by pool."""
        return {name: queue.running for name, queue in self._pools.items()}

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.tick(loop.time())

    def tick(self, now: float) -> None:
        """Apply a new snapshot of the fleet, and advance the queues."""
        if self._fleet.current is not self._snapshot:
            self._snapshot = self._fleet.current
            for pool in self._snapshot.pools():
                if pool.name in self._pools:
                    self._pools[pool.name].renew(pool)
        for queue in self._pools.values():
            queue.tick(now)


def prioritized(encode: Encode, route_trace: RouteTrace, slot: PoolSlot) -> Encode:
    """Return `encode`, with a priority for the engine if the pool sends one."""
    if not route_trace.pool.sends_priority:
        return encode

    def encode_with_priority(endpoint: Endpoint) -> bytes:
        return with_priority(encode(endpoint), slot.priority)

    return encode_with_priority
