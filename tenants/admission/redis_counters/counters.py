"""The counters of all limits in Redis: admission, extension, renewal and settlement of holds.

Scripts decide atomically. Every call is idempotent: a repeated request id gets the same response,
and a second settlement of a request changes nothing.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from redis.asyncio import Redis

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.errors import CountersUnavailable, WindowMoved
from tenants.admission.limits.messages import (
    AdmitRequest,
    Granted,
    Refused,
    RequestProgress,
    Settlement,
)
from tenants.admission.redis_counters.admit_call import AdmitCalls
from tenants.admission.redis_counters.breaker import RedisBreaker
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
from tenants.admission.redis_counters.resp import RedisCall, pack_call
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
"""Attempts of a call: the first, one with the corrected time, and two with seeded counters."""
EXTENDED_SIZE = 4
"""Number of elements in the response to an extension."""
BACKGROUND_SECONDS = 0.2
"""Timeout of background calls. Shorter than DEADLINE_SECONDS, after which Redis ignores a call."""
MAX_CALLS_PER_FLUSH = 8
"""Renewals or settlements that are sent at once; Redis executes them in a few milliseconds."""

encode = msgspec.msgpack.Encoder().encode


class Counters:
    """The client of the counters in one gateway process. `load` reads counters from PostgreSQL."""

    def __init__(
        self,
        redis: Redis,
        load: LoadStates,
        *,
        timeout: float = TIMEOUT_SECONDS,
        clock: RedisClock | None = None,
    ) -> None:
        """`timeout`: timeout of the calls of requests, in seconds."""
        self._clock = clock or RedisClock()
        self._breaker = RedisBreaker()
        self._pipelines = Pipelines(
            redis, clock=self._clock, breaker=self._breaker, timeout=timeout
        )
        # For calls outside requests: a longer timeout, and separate connections.
        self._background = Pipelines(
            redis,
            clock=self._clock,
            breaker=self._breaker,
            timeout=max(timeout, BACKGROUND_SECONDS),
        )
        self._seeder = Seeder(load, self._pipelines)
        self._calls = AdmitCalls()
        self._releases = Releases(self._settle_now)
        self._order = asyncio.Lock()
        """Serializes renewals and settlements."""
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
        """Release the holds of cancelled requests if possible, and close the connections."""
        await self._releases.aclose()
        await self._seeder.aclose()
        await self._pipelines.aclose()
        await self._background.aclose()

    def now(self) -> float:
        """Return the seconds since 1970 by Redis' clock, or by this host's before any response."""
        return self._clock.now()

    @property
    def is_unavailable(self) -> bool:
        """Whether the breaker is open, so that no calls are sent."""
        return self._breaker.is_open

    def outage_seconds(self) -> float:
        """Return the seconds since the breaker opened; 0 while it is closed."""
        return self._breaker.open_for()

    async def admit(self, request: AdmitRequest) -> Granted | Refused:
        """Admit or refuse a request. An admitted request has a hold until it is settled.

        Raises WindowMoved if a window of the checks has ended; then compute the checks again.
        Raises CountersUnavailable on a failure. Then, or if the caller is cancelled, a hold that
        Redis may have created is released, unless the request is renewed or settled.
        """
        shared = self._calls.of(request.checks)
        for _ in range(ATTEMPTS):
            reply = await self._admit_once(request, shared.call(*self._arguments(request)))
            status = reply[1]
            if status == GRANTED:
                return shared.granted(reply)
            if status == REFUSED:
                return shared.refused(reply)
            if status == WINDOW:
                raise WindowMoved(reply[2] / 1_000_000)
            if status == COLD:
                await self._seeder.ensure_seeded(request.checks.tenant_id, shared.cold(reply))
        raise CountersUnavailable

    async def _admit_once(self, request: AdmitRequest, call: RedisCall) -> Reply:
        future = self._pipelines.send(call)
        try:
            return await future
        except (asyncio.CancelledError, CountersUnavailable):
            self.release(request)
            raise

    def _arguments(self, request: AdmitRequest) -> tuple[bytes, bytes, bytes]:
        numbers = (
            request.checks.key_id,
            request.prompt_tokens,
            request.completion_tokens,
            request.min_completion_tokens,
            request.rate_tokens,
            LEASE_US,
            self._deadline(),
        )
        return request.request_id.encode(), encode(numbers), request.facts

    def _deadline(self) -> int:
        """Return the time from which Redis ignores the call, in µs of its clock."""
        return int((self._clock.now() + DEADLINE_SECONDS) * 1_000_000)

    def release(self, request: AdmitRequest) -> None:
        """Release the hold, if any, of a request that will not run, within a second."""
        self._releases.add(request.checks.tenant_id, request.request_id)

    async def extend(self, progress: RequestProgress, *, completion_tokens: int) -> int:
        """Hold so many completion tokens for a running request, or what the quotas have left.

        Return the held tokens, never fewer than before. Raises CountersUnavailable.
        """
        request = progress.request
        for _ in range(ATTEMPTS):
            reply = await self._extend_once(request, completion_tokens)
            status = reply[1]
            if status == OK and len(reply) == EXTENDED_SIZE:
                return max(int(reply[3]), progress.completion_granted)
            if status == GONE:
                await self.renew([progress])
            elif status == COLD:
                cold = self._calls.of(request.checks).cold(reply)
                await self._seeder.ensure_seeded(request.checks.tenant_id, cold)
        raise CountersUnavailable

    def _extend_once(
        self, request: AdmitRequest, completion_tokens: int
    ) -> "asyncio.Future[Reply]":
        keys = [tenant_key(request.checks.tenant_id, "holds")]
        numbers = encode((completion_tokens, self._deadline()))
        return self._pipelines.send(pack_call(EXTEND, keys, request.request_id.encode(), [numbers]))

    async def renew(self, progress: Sequence[RequestProgress]) -> None:
        """Renew the leases of running requests, with their usage so far, and restore lost holds.

        Raises CountersUnavailable if some calls failed; repeating all of them is safe.
        """
        # A renewal after the settlement of a request would restore its hold.
        alive = [each for each in progress if each.request.request_id not in self._settling]
        self._releases.forget(each.request.request_id for each in alive)
        async with self._order:
            calls = renewal_calls(alive, deadline=self._deadline)
            try:
                late = [reply for reply in await self._send(calls) if reply[1] == LATE]
            except CountersUnavailable:
                # Until their deadline, Redis may still execute calls that were sent.
                await asyncio.sleep(DEADLINE_SECONDS)
                raise
        if late:
            raise CountersUnavailable

    async def settle(
        self, settlements: Sequence[Settlement], states: Sequence[CounterState]
    ) -> None:
        """Remove holds whose usage is in PostgreSQL, and set the present totals of PostgreSQL.

        Raises CountersUnavailable if some calls failed; repeating all of them is safe.
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
        await self._send(settlement_calls(settlements, states))

    async def _send(self, calls: Sequence[RedisCall]) -> list[Reply]:
        replies: list[Any] = []
        for start in range(0, len(calls), MAX_CALLS_PER_FLUSH):
            portion = calls[start : start + MAX_CALLS_PER_FLUSH]
            replies += await asyncio.gather(*map(self._background.fetch, portion))
        return replies
