"""The counters of all limits, kept in Redis: decisions for requests, and what they did with them.

What a script decides is decided there, atomically; here it is only carried. Everything may be said
again: the same request id gets the same answer, and what is settled twice is settled once.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from redis.asyncio import Redis

from tenants.admission.limits.errors import CountersAway, WindowMoved
from tenants.admission.limits.messages import AdmitRequest, Granted, Progress, Refused, Settlement
from tenants.admission.limits.rules import CounterState
from tenants.admission.redis_counters.admit_call import AdmitCalls
from tenants.admission.redis_counters.breaker import Breaker
from tenants.admission.redis_counters.clock import RedisClock
from tenants.admission.redis_counters.hold_calls import (
    DEADLINE_SECONDS,
    LEASE_US,
    renewal_calls,
    settlement_calls,
)
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.redis_counters.pipelines import TIMEOUT_SECONDS, Pipelines, Reply
from tenants.admission.redis_counters.releases import Releases
from tenants.admission.redis_counters.resp import Call, pack_call
from tenants.admission.redis_counters.scripts import (
    COLD,
    EXTEND,
    GONE,
    GRANTED,
    LATE,
    OK,
    REFUSED,
    WINDOW,
)
from tenants.admission.redis_counters.seeding import LoadStates, Seeder

ATTEMPTS = 4
"""Of one admission: a first one, one with the right time, and two with counters seeded."""
EXTENDED_SIZE = 4
"""Parts of the answer to an extension."""
BACKGROUND_SECONDS = 0.2
"""Shorter than the deadline: who gave up must not be obeyed much later."""
MAX_CALLS_PER_FLUSH = 8
"""Heartbeats or settlements that go out together: as many as Redis works off in few ms."""

encode = msgspec.msgpack.Encoder().encode


class Counters:
    """One gateway process' way to the counters. `load` reads them from PostgreSQL."""

    def __init__(
        self, redis: Redis, load: LoadStates, *, patience: float = TIMEOUT_SECONDS
    ) -> None:
        """`patience` is how long, in seconds, a request waits for Redis."""
        self._clock = RedisClock()
        self._breaker = Breaker()
        self._pipelines = Pipelines(
            redis, clock=self._clock, breaker=self._breaker, patience=patience
        )
        # What no request waits for may take longer, and does not stand in its way.
        self._background = Pipelines(
            redis,
            clock=self._clock,
            breaker=self._breaker,
            patience=max(patience, BACKGROUND_SECONDS),
        )
        self._seeder = Seeder(load, self._pipelines)
        self._layouts = AdmitCalls()
        self._releases = Releases(self._settle_now)
        self._order = asyncio.Lock()
        """Held by heartbeats and by settlements, so that none overtakes another."""
        self._settling: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release what nobody wants any more, if Redis answers, and close the connections."""
        await self._releases.aclose()
        await self._seeder.aclose()
        await self._pipelines.aclose()
        await self._background.aclose()

    def now(self) -> float:
        """Seconds since 1970 by Redis' clock, or by this machine's until Redis has answered."""
        return self._clock.now()

    @property
    def away(self) -> bool:
        """Whether Redis is not asked at the moment, because it did not answer."""
        return self._breaker.is_open

    def away_for(self) -> float:
        """Seconds for which Redis has not been asked as usual; 0 while it is."""
        return self._breaker.open_for()

    async def admit(self, ask: AdmitRequest) -> Granted | Refused:
        """Decide, and hold what was granted until it is settled.

        Raises WindowMoved if a window of the checks is not the current one: make them anew. Raises
        CountersAway if Redis does not answer; a hold that came about all the same is released,
        unless the request is renewed or settled. So it is if the caller is cancelled.
        """
        layout = self._layouts.of(ask.checks)
        for _ in range(ATTEMPTS):
            reply = await self._admit_once(ask, layout.call(*self._arguments(ask)))
            status = reply[1]
            if status == GRANTED:
                return layout.granted(reply)
            if status == REFUSED:
                return layout.refused(reply)
            if status == WINDOW:
                raise WindowMoved(reply[2] / 1_000_000)
            if status == COLD:
                await self._seeder.warm(ask.checks.tenant_id, layout.cold(reply))
        raise CountersAway

    async def _admit_once(self, ask: AdmitRequest, call: Call) -> Reply:
        future = self._pipelines.send(call)
        try:
            return await future
        except (asyncio.CancelledError, CountersAway):
            self.release(ask)
            raise

    def _arguments(self, ask: AdmitRequest) -> tuple[bytes, bytes, bytes]:
        numbers = (
            ask.checks.key_id,
            ask.prompt_tokens,
            ask.completion_tokens,
            ask.least_completion,
            ask.rate_tokens,
            LEASE_US,
            self._deadline(),
        )
        return ask.request_id.encode(), encode(numbers), ask.facts

    def _deadline(self) -> int:
        """When a call that is still under way is not wanted any more, in µs of Redis' clock."""
        return int((self._clock.now() + DEADLINE_SECONDS) * 1_000_000)

    def release(self, ask: AdmitRequest) -> None:
        """Give back the hold of a request that will not run, if there is one; soon, not at once."""
        self._releases.add(ask.checks.tenant_id, ask.request_id)

    async def extend(self, progress: Progress, *, completion_tokens: int) -> int:
        """Let a running request have so many completion tokens in all, or what is left for it.

        Returns how many it may have, never less than it had. Raises CountersAway.
        """
        ask = progress.ask
        for _ in range(ATTEMPTS):
            reply = await self._extend_once(ask, completion_tokens)
            status = reply[1]
            if status == OK and len(reply) == EXTENDED_SIZE:
                return max(int(reply[3]), progress.completion_granted)
            if status == GONE:
                await self.renew([progress])
            elif status == COLD:
                cold = self._layouts.of(ask.checks).cold(reply)
                await self._seeder.warm(ask.checks.tenant_id, cold)
        raise CountersAway

    def _extend_once(self, ask: AdmitRequest, completion_tokens: int) -> "asyncio.Future[Reply]":
        keys = [tenant_key(ask.checks.tenant_id, "holds")]
        numbers = encode((completion_tokens, self._deadline()))
        return self._pipelines.send(pack_call(EXTEND, keys, ask.request_id.encode(), [numbers]))

    async def renew(self, progress: Sequence[Progress]) -> None:
        """Tell how far requests are: their leases go on, and lost holds come back.

        Raises CountersAway if some could not be told; telling them again is safe.
        """
        # What is being settled right now must not come back behind its settlement.
        alive = [each for each in progress if each.ask.request_id not in self._settling]
        self._releases.forget(each.ask.request_id for each in alive)
        async with self._order:
            calls = renewal_calls(alive, deadline=self._deadline)
            try:
                late = [reply for reply in await self._say(calls) if reply[1] == LATE]
            except CountersAway:
                # What is still on its way to Redis is obeyed until its deadline.
                await asyncio.sleep(DEADLINE_SECONDS)
                raise
        if late:
            raise CountersAway

    async def settle(
        self, settlements: Sequence[Settlement], states: Sequence[CounterState]
    ) -> None:
        """Remove holds whose usage is in PostgreSQL, and bring the totals that it has now.

        Raises CountersAway if some could not be told; telling them again is safe.
        """
        ids = {settlement.request_id for settlement in settlements}
        self._settling |= ids
        self._releases.forget(ids)
        try:
            async with self._order:
                await self._settle_now(settlements, states)
        finally:
            self._settling -= ids

    async def _settle_now(
        self, settlements: Sequence[Settlement], states: Sequence[CounterState] = ()
    ) -> None:
        await self._say(settlement_calls(settlements, states))

    async def _say(self, calls: Sequence[Call]) -> list[Reply]:
        replies: list[Any] = []
        for start in range(0, len(calls), MAX_CALLS_PER_FLUSH):
            portion = calls[start : start + MAX_CALLS_PER_FLUSH]
            replies += await asyncio.gather(*map(self._background.ask, portion))
        return replies
