"""Bring counters that Redis does not have from PostgreSQL: each once at a time, few at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from kernel.errors import PlatformError
from tenants.admission.limits.errors import CountersAway
from tenants.admission.limits.rules import CounterState
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.redis_counters.pipelines import Pipelines
from tenants.admission.redis_counters.resp import pack_call
from tenants.admission.redis_counters.scripts import SEED
from tenants.admission.redis_counters.states import pack_states

MAX_CONCURRENT_LOADS = 8
LOAD_SECONDS = 1.0
"""Longer than that no request waits for a counter."""
REST_SECONDS = 1.0
"""After a failed load nothing is loaded for so long: PostgreSQL is the same for all."""
ROUNDS = 3

LoadStates = Callable[[int, Sequence[tuple[str, str]]], Awaitable[Sequence[CounterState]]]
"""Tenant, then counter and window of each that is wanted; those without a row may be left out.
Raises PlatformError if PostgreSQL is away."""

Place = tuple[int, str, str]


class Seeder:
    """Loads and seeds counters."""

    def __init__(self, load: LoadStates, pipelines: Pipelines) -> None:
        self._load = load
        self._pipelines = pipelines
        self._loads = asyncio.Semaphore(MAX_CONCURRENT_LOADS)
        self._flights: dict[Place, asyncio.Task[None]] = {}
        self._rests_until = 0.0

    async def warm(self, tenant_id: int, counters: Iterable[tuple[str, str]]) -> None:
        """See that Redis has these. Raises CountersAway if it cannot, or not within a second."""
        if time.monotonic() < self._rests_until:
            raise CountersAway
        places = [(tenant_id, *counter) for counter in counters]
        missing = [place for place in places if place not in self._flights]
        if missing:
            self._start_load(tenant_id, missing)
        flights = {self._flights[place] for place in places}
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await asyncio.gather(*map(asyncio.shield, flights))
        except TimeoutError:
            raise CountersAway from None

    def _start_load(self, tenant_id: int, places: Sequence[Place]) -> None:
        flight = asyncio.create_task(self._seed(tenant_id, [place[1:] for place in places]))
        self._flights.update(dict.fromkeys(places, flight))

        def land(done: "asyncio.Task[None]") -> None:
            for place in places:
                del self._flights[place]
            if not done.cancelled() and done.exception():
                self._rests_until = time.monotonic() + REST_SECONDS

        flight.add_done_callback(land)

    async def _seed(self, tenant_id: int, wanted: Sequence[tuple[str, str]]) -> None:
        """What was read too early is read again: a settlement came in between."""
        async with self._loads:
            for _ in range(ROUNDS):
                wanted = await self._seed_once(tenant_id, wanted)
                if not wanted:
                    return
        raise CountersAway

    async def _seed_once(
        self, tenant_id: int, wanted: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        try:
            found = await self._load(tenant_id, wanted)
        except PlatformError as error:
            raise CountersAway from error
        states = with_zeros(tenant_id, wanted, found)
        keys = [tenant_key(tenant_id, name) for name in ("holds", "scopes")]
        reply = await self._pipelines.send(pack_call(SEED, keys, b"seed", [pack_states(states)]))
        return [(states[n - 1].counter, states[n - 1].window) for n in reply[3:]]

    async def aclose(self) -> None:
        flights = set(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


def with_zeros(
    tenant_id: int, wanted: Sequence[tuple[str, str]], found: Sequence[CounterState]
) -> list[CounterState]:
    """What was found, and zero for what PostgreSQL has no row of: nothing was ever used there."""
    known = {(state.counter, state.window): state for state in found}
    return [
        known.get((counter, window))
        or CounterState(tenant_id=tenant_id, counter=counter, window=window)
        for counter, window in wanted
    ]
