"""Who decides on a request: this worker's own limiter first, then Redis; alone if it is away."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from tenants.admission.limits.errors import CountersAway
from tenants.admission.limits.local_limiter import WHOLE, LocalLimiter
from tenants.admission.limits.messages import AdmitRequest, Granted, Refused, Violation
from tenants.admission.limits.outage_budget import OutageBudget
from tenants.admission.limits.ports import CounterStore
from tenants.admission.redis_counters.refusal_log import Refusals
from tenants.admission.redis_counters.worker_registry import LiveWorkers
from tenants.admission.usage.records import Usage

CERTAIN_SECONDS = 1.2
"""After which Redis is away, and not only slow. A slow one goes on admitting for other workers."""
OTHERS_SECONDS = 0.08
"""In which another worker's ledger has surely taken what ended there a moment ago."""

log = logging.getLogger(__name__)


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request may run, and who said so."""

    granted: Granted
    share: float
    """The part of the local limits under which it was counted."""
    without_redis: bool


class Decider:
    """Decides on requests, and takes back what they did not use."""

    def __init__(
        self,
        *,
        counters: CounterStore,
        workers: LiveWorkers,
        refusals: Refusals,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """`settle` brings what has ended in this worker to the ledger now, if that can be done."""
        self._settle = settle
        self._counters = counters
        self._workers = workers
        self._refusals = refusals
        self._local = LocalLimiter()
        self._outage = OutageBudget()

    async def decide(self, ask: AdmitRequest) -> Decision | Refused:
        """Whether a request may run, by whoever can say.

        Raises LimitsUnavailable if nobody can, and WindowMoved if the checks are of a window that
        is over.
        """
        verdict = self._local_refusal(ask, share=WHOLE) or await self._ask(ask)
        if isinstance(verdict, Refused):
            self._refusals.note(ask, verdict.breach, shadow=False)
        return verdict

    async def _ask(self, ask: AdmitRequest) -> Decision | Refused:
        try:
            verdict = await self._counters.admit(ask)
        except CountersAway as error:
            log.debug("admission: Redis unavailable, decided locally (error=%s)", error)
            return self._decide_alone(ask)
        if isinstance(verdict, Refused) and is_only_held(verdict.breach):
            verdict = await self._ask_again(ask, verdict)
        if isinstance(verdict, Refused):
            return verdict
        self._outage.heard(ask.checks.tenant_id, verdict.quotas)
        self._local.take(ask, now_us=now_us(), share=WHOLE)
        for breach in verdict.shadowed:
            self._refusals.note(ask, breach, shadow=True)
        return Decision(granted=verdict, share=WHOLE, without_redis=False)

    async def _ask_again(self, ask: AdmitRequest, verdict: Refused) -> Granted | Refused:
        """What stands in the way is held, not used. Much of that may be held by requests that have
        ended and are on their way to the ledger: here, or in another worker.
        """
        for settle_what_has_ended in (self._settle, partial(asyncio.sleep, OTHERS_SECONDS)):
            await settle_what_has_ended()
            try:
                again = await self._counters.admit(ask)
            except CountersAway:
                return verdict
            if isinstance(again, Granted) or not is_only_held(again.breach):
                return again
        return verdict

    def _decide_alone(self, ask: AdmitRequest) -> Decision | Refused:
        share = 1 / self._workers.count
        refused = self._local_refusal(ask, share=share)
        if refused is not None:
            return refused
        is_away = self._counters.away_for() >= CERTAIN_SECONDS
        self._outage.admit(ask, completion=ask.completion_tokens, share=share, is_away=is_away)
        self._local.take(ask, now_us=now_us(), share=share)
        granted = Granted(completion_tokens=ask.completion_tokens)
        return Decision(granted=granted, share=share, without_redis=True)

    def _local_refusal(self, ask: AdmitRequest, *, share: float) -> Refused | None:
        breach = self._local.breach(ask, now_us=now_us(), share=share)
        return None if breach is None else Refused(breach=breach)

    def release(self, ask: AdmitRequest, decision: Decision, usage: Usage) -> None:
        """It has ended. Redis learns of it by way of the ledger."""
        self._local.release(ask, tokens=usage.total_tokens, share=decision.share)
        if decision.without_redis:
            self._outage.correct(
                ask,
                completion=decision.granted.completion_tokens,
                prompt_used=usage.prompt_tokens,
                completion_used=usage.completion_tokens,
            )


def is_only_held(breach: Violation) -> bool:
    """Whether a quota lacks only what other requests hold and may give back."""
    held = breach.reason == "quota_exhausted" and breach.resets_at is None
    return held and breach.retry_after_ms is not None


def now_us() -> int:
    """For intervals only: this clock is never compared with another one."""
    return time.monotonic_ns() // 1000
