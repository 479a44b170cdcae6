"""Loading of counters that Redis lacks from PostgreSQL: one load per counter, few at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from kernel.errors import PlatformError
from kernel.storage.cooldown import Cooldown
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.redis_counters.pipelines import Pipelines
from tenants.admission.redis_counters.resp import pack_call
from tenants.admission.redis_counters.scripts import SEED
from tenants.admission.redis_counters.states import pack_states

MAX_CONCURRENT_LOADS = 8
LOAD_SECONDS = 1.0
"""Timeout of a request for the load of a counter."""
PAUSE_SECONDS = 1.0
"""Pause of all loads after a failed one, because all counters come from PostgreSQL."""
ROUNDS = 3

LoadStates = Callable[[int, Sequence[tuple[str, str]]], Awaitable[Sequence[CounterState]]]
"""Returns states by tenant, counter and window; the result may lack counters without a row. Raises
PlatformError if PostgreSQL is unavailable."""

Place = tuple[int, str, str]


class Seeder:
    """Loads counters and writes them to Redis."""

    def __init__(self, load: LoadStates, pipelines: Pipelines) -> None:
        self._load = load
        self._pipelines = pipelines
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_LOADS)
        self._loads: dict[Place, asyncio.Task[None]] = {}
        self._cooldown = Cooldown(PAUSE_SECONDS)

    async def ensure_seeded(self, tenant_id: int, counters: Iterable[tuple[str, str]]) -> None:
        """Load counters that Redis lacks. Raises CountersUnavailable if that fails or is slow."""
        if self._cooldown.is_active:
            raise CountersUnavailable
        places = [(tenant_id, *counter) for counter in counters]
        missing = [place for place in places if place not in self._loads]
        if missing:
            self._start_load(tenant_id, missing)
        loads = {self._loads[place] for place in places}
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await asyncio.gather(*map(asyncio.shield, loads))
        except TimeoutError:
            raise CountersUnavailable from None

    def _start_load(self, tenant_id: int, places: Sequence[Place]) -> None:
        load = asyncio.create_task(self._seed(tenant_id, [place[1:] for place in places]))
        self._loads.update(dict.fromkeys(places, load))

        def on_loaded(done: "asyncio.Task[None]") -> None:
            for place in places:
                del self._loads[place]
            if not done.cancelled() and done.exception():
                self._cooldown.start()

        load.add_done_callback(on_loaded)

    async def _seed(self, tenant_id: int, wanted: Sequence[tuple[str, str]]) -> None:
        """Seed counters; repeat those that a settlement has changed since they were read."""
        async with self._slots:
            for _ in range(ROUNDS):
                wanted = await self._seed_once(tenant_id, wanted)
                if not wanted:
                    return
        raise CountersUnavailable

    async def _seed_once(
        self, tenant_id: int, wanted: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        try:
            found = await self._load(tenant_id, wanted)
        except PlatformError as error:
            raise CountersUnavailable from error
        states = with_zeros(tenant_id, wanted, found)
        keys = [tenant_key(tenant_id, name) for name in ("holds", "scopes")]
        reply = await self._pipelines.send(pack_call(SEED, keys, b"seed", [pack_states(states)]))
        return [(states[n - 1].counter, states[n - 1].window) for n in reply[3:]]

    async def aclose(self) -> None:
        loads = set(self._loads.values())
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)


def with_zeros(
    tenant_id: int, wanted: Sequence[tuple[str, str]], found: Sequence[CounterState]
) -> list[CounterState]:
    """Return the found states, and zero for counters without a row, which were never used."""
    known = {(state.counter, state.window): state for state in found}
    return [
        known.get((counter, window))
        or CounterState(tenant_id=tenant_id, counter=counter, window=window)
        for counter, window in wanted
    ]
