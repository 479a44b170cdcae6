"""Decisions on requests: by the limiter of this worker first, then by Redis if it is available."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.local_limiter import WHOLE, LocalLimiter
from tenants.admission.limits.messages import AdmitRequest, Granted, Refused, Violation
from tenants.admission.limits.outage_budget import OutageBudget
from tenants.admission.limits.ports import CounterStore
from tenants.admission.redis_counters.refusal_log import Refusals
from tenants.admission.redis_counters.worker_registry import WorkerRegistry
from tenants.admission.usage.records import Usage

CERTAIN_OUTAGE_SECONDS = 1.2
"""Outage after which Redis counts as unavailable to all workers. Before, it may be slow here only
and admit requests of other workers."""
OTHER_WORKERS_SECONDS = 0.08
"""Time that other workers usually need to write the usage of requests that have just ended."""

log = logging.getLogger(__name__)


class AdmissionDecision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An admitted request, and how it was admitted."""

    granted: Granted
    share: float
    """Share of the local limits with which the request was counted."""
    without_redis: bool


class Decider:
    """Admits or refuses requests, and releases their unused amounts."""

    def __init__(
        self,
        *,
        counters: CounterStore,
        workers: WorkerRegistry,
        refusals: Refusals,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """`settle` writes the usage of requests that have ended in this worker at once."""
        self._settle = settle
        self._counters = counters
        self._workers = workers
        self._refusals = refusals
        self._local = LocalLimiter()
        self._outage = OutageBudget()

    async def decide(self, request: AdmitRequest) -> AdmissionDecision | Refused:
        """Admit or refuse a request.

        Raises LimitsUnavailable if neither Redis nor this worker can decide, and WindowMoved if a
        window of the checks has ended.
        """
        answer = self._local_refusal(request, share=WHOLE) or await self._decide_by_redis(request)
        if isinstance(answer, Refused):
            self._refusals.note(request, answer.violation, shadow=False)
        return answer

    async def _decide_by_redis(self, request: AdmitRequest) -> AdmissionDecision | Refused:
        try:
            answer = await self._counters.admit(request)
        except CountersUnavailable as error:
            log.debug("admission: Redis unavailable, decided locally (error=%s)", error)
            return self._decide_locally(request)
        if isinstance(answer, Refused) and is_only_held(answer.violation):
            answer = await self._retry_after_settling(request, answer)
        if isinstance(answer, Refused):
            return answer
        self._outage.record(request.checks.tenant_id, answer.quotas)
        self._local.take(request, now_us=now_us(), share=WHOLE)
        for violation in answer.shadowed:
            self._refusals.note(request, violation, shadow=True)
        return AdmissionDecision(granted=answer, share=WHOLE, without_redis=False)

    async def _retry_after_settling(
        self, request: AdmitRequest, answer: Refused
    ) -> Granted | Refused:
        """Retry a request that Redis refused because of the holds of other requests.

        Some of those may have ended, here or in another worker, and not be in the ledger yet.
        """
        for settle_ended in (self._settle, partial(asyncio.sleep, OTHER_WORKERS_SECONDS)):
            await settle_ended()
            try:
                again = await self._counters.admit(request)
            except CountersUnavailable:
                return answer
            if isinstance(again, Granted) or not is_only_held(again.violation):
                return again
        return answer

    def _decide_locally(self, request: AdmitRequest) -> AdmissionDecision | Refused:
        share = 1 / self._workers.count
        refused = self._local_refusal(request, share=share)
        if refused is not None:
            return refused
        is_certain = self._counters.outage_seconds() >= CERTAIN_OUTAGE_SECONDS
        self._outage.admit(
            request, completion=request.completion_tokens, share=share, is_certain=is_certain
        )
        self._local.take(request, now_us=now_us(), share=share)
        granted = Granted(completion_tokens=request.completion_tokens)
        return AdmissionDecision(granted=granted, share=share, without_redis=True)

    def _local_refusal(self, request: AdmitRequest, *, share: float) -> Refused | None:
        violation = self._local.violation(request, now_us=now_us(), share=share)
        return None if violation is None else Refused(violation=violation)

    def release(self, request: AdmitRequest, decision: AdmissionDecision, usage: Usage) -> None:
        """Release an ended request locally. In Redis it is released by its settlement."""
        self._local.release(request, tokens=usage.total_tokens, share=decision.share)
        if decision.without_redis:
            self._outage.correct(
                request,
                completion=decision.granted.completion_tokens,
                prompt_used=usage.prompt_tokens,
                completion_used=usage.completion_tokens,
            )


def is_only_held(violation: Violation) -> bool:
    """Return whether the request would fit into the quota without the holds of other requests."""
    held = violation.reason == "quota_exhausted" and violation.resets_at is None
    return held and violation.retry_after_ms is not None


def now_us() -> int:
    """Return the microseconds of the monotonic clock, for intervals within this process."""
    return time.monotonic_ns() // 1000
