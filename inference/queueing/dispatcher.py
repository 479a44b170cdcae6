"""Opening an exchange when it is the request's turn, and giving the turn back when it ends."""

import asyncio
from collections.abc import Iterator
from functools import partial

from inference.fleet.snapshot import Endpoint, FleetReference, Pool
from inference.queueing.pool_queue import Elsewhere, PoolQueue, Workers
from inference.relay.encoding import with_priority
from inference.relay.exchange import Exchange
from inference.relay.opener import Encode, ExchangeOpener
from inference.relay.route_trace import RouteTrace
from inference.relay.slot import PoolSlot
from inference.relay.upstream import Path

SECONDS_BETWEEN_LOOKS = 0.5
"""As often as workers tell each other what they work on."""


def nowhere_else(_: str) -> int:
    """What other workers run, where there are none."""
    return 0


def alone() -> int:
    return 1


class Dispatcher:
    """Lets so many requests run in each pool as it takes; the others wait, and fairly."""

    def __init__(
        self,
        relay: ExchangeOpener,
        *,
        fleet: FleetReference,
        elsewhere: Elsewhere = nowhere_else,
        workers: Workers = alone,
    ) -> None:
        self._relay = relay
        self._fleet = fleet
        self._seen = fleet.current
        self._elsewhere = elsewhere
        self._workers = workers
        self._pools: dict[str, PoolQueue] = {}

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """`Relay.open` when it is the request's turn in its pool.

        Raises Overloaded if that takes too long, or if too many wait already.
        """
        turns = self._turns(route_trace.pool)
        turn = turns.take(route_trace)
        if turn is None:
            turn = await turns.wait(route_trace)
            # It may have waited long: its endpoints are what they are now.
            route_trace.pool = turns.pool
        route_trace.turn = turn
        route_trace.take_turn = partial(turns.take, route_trace)
        exchange = None
        try:
            exchange = await self._relay.open(
                route_trace, path, prioritized(encode, route_trace, turn)
            )
        finally:
            if exchange is None:
                turn.give_back()
        exchange.queued = route_trace.waited
        exchange.when_ended(turn.give_back)
        return exchange

    def _turns(self, pool: Pool) -> PoolQueue:
        turns = self._pools.get(pool.name)
        if turns is None:
            turns = PoolQueue(pool, elsewhere=self._elsewhere, workers=self._workers)
            self._pools[pool.name] = turns
        elif turns.pool is not pool:
            turns.renew(pool)
        return turns

    def waiting(self) -> dict[str, int]:
        """How many requests wait here for each pool."""
        return {name: turns.waiting for name, turns in self._pools.items()}

    def running(self) -> dict[str, int]:
        """How many requests each pool works on from here."""
        return {name: turns.running for name, turns in self._pools.items()}

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            self.look(loop.time())

    def look(self, now: float) -> None:
        """Notice what has changed beside the requests that come and go."""
        if self._fleet.current is not self._seen:
            self._seen = self._fleet.current
            for pool in pools_of(self._fleet):
                if pool.name in self._pools:
                    self._pools[pool.name].renew(pool)
        for turns in self._pools.values():
            turns.look(now)


def prioritized(encode: Encode, route_trace: RouteTrace, turn: PoolSlot) -> Encode:
    """`encode`, with a priority for the engine where the pool sends one."""
    if not route_trace.pool.sends_priority:
        return encode

    def encode_with_priority(endpoint: Endpoint) -> bytes:
        return with_priority(encode(endpoint), turn.priority)

    return encode_with_priority


def pools_of(fleet: FleetReference) -> Iterator[Pool]:
    for route in fleet.current.routes.values():
        yield route.pool
        yield from (pool for pool, _ in route.shares)
        yield from route.fallbacks
