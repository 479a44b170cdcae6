"""Admission of requests: `admit` before the model runs, `settle` afterwards."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from kernel.ids import new_request_id
from tenants.admission.decider import AdmissionDecision, Decider
from tenants.admission.generation_rates import GenerationRates
from tenants.admission.holds import Hold, Holds
from tenants.admission.limits.cache import CachedLimits, LimitsCache
from tenants.admission.limits.checks import Checks
from tenants.admission.limits.compile import Caller
from tenants.admission.limits.demand import Demand, DemandUnderChecks, admit_request, measure
from tenants.admission.limits.errors import CountersUnavailable, WindowMoved
from tenants.admission.limits.errors_of import error_of
from tenants.admission.limits.headers import Headers, limit_headers, warning_headers
from tenants.admission.limits.messages import Refused
from tenants.admission.limits.ports import CounterStore
from tenants.admission.limits.price import FREE, Price
from tenants.admission.principal import Principal
from tenants.admission.token_estimator import TokenEstimator
from tenants.admission.usage.records import Charge, Usage, UsageRecord
from tenants.admission.usage.writer import LedgerWriter
from tenants.errors import LimitsUnavailable

MAX_WINDOW_MOVES = 3


COMPLETED = "completed"


class Subject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to be admitted: its principal, door and model route."""

    principal: Principal
    door: str
    request_kind: str = "chat"
    """The scope that its key needs, `chat` or `embeddings`; limits can select requests by it."""
    route: str
    price: Price = FREE
    agent: str = ""
    agent_revision: int | None = None
    client_request_id: str = ""
    free: bool = False
    """Whether the request uses no tokens: only rates and quotas of requests count it."""

    @property
    def caller(self) -> Caller:
        """The values on which checks depend."""
        return Caller(
            tenant_id=self.principal.tenant_id,
            key_id=self.principal.key_id,
            lineage_id=self.principal.lineage_id,
            member_id=self.principal.member_id,
            route=self.route,
            request_kind=self.request_kind,
            price=self.price,
            free=self.free,
        )


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """An admitted request. It must be settled exactly once."""

    subject: Subject
    demand: Demand
    record: UsageRecord
    """The usage record, still without usage."""
    started: float
    """Start in seconds of the monotonic clock."""
    hold: Hold
    decision: AdmissionDecision
    max_completion_tokens: int | None
    """Maximum tokens of each choice to send to the engine; None keeps the client's value."""
    extends: bool
    """Whether the hold must be extended before the response exceeds it."""
    weight: int = 1
    """Relative share of the tenant in busy engines."""

    @property
    def request_id(self) -> str:
        return self.record.request_id

    @property
    def expected_tokens(self) -> int:
        """Tokens held for the prompt and all choices."""
        return self.hold.request.prompt_tokens + self.hold.completion

    def headers(self) -> Headers:
        """Return response headers with the state of the caller's limits."""
        granted = self.decision.granted
        return limit_headers(granted.statuses) + warning_headers(granted.quotas)


class AdmissionOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of an admitted request."""

    usage: Usage
    status: str
    error_code: str = ""
    pool: str = ""
    endpoint: str = ""
    ttft: float | None = None
    """Seconds from admission to the first token."""
    waited: float = 0.0
    """Seconds in the queue of the pool."""
    decision: dict[str, Any] = {}


class Gate:
    """Admits requests within all limits, and records their usage."""

    def __init__(
        self,
        *,
        limits_cache: LimitsCache,
        counters: CounterStore,
        decider: Decider,
        holds: Holds,
        ledger: LedgerWriter,
    ) -> None:
        self._limits_cache = limits_cache
        self._counters = counters
        self._decider = decider
        self._holds = holds
        self._ledger = ledger
        self._tokens = TokenEstimator()
        self._rates = GenerationRates()

    async def admit(self, subject: Subject, demand: Demand, *, request_id: str = "") -> Admission:
        """Admit a request, and hold the tokens that it may use.

        Raises the errors 403 and 429 (protocols.md, "Errors"), LimitsUnavailable, or LedgerFull if
        there is no room to record its usage.
        """
        self._ledger.ensure_room()
        cached = await self._limits_cache.of_tenant(subject.principal.tenant_id)
        record = initial_record(subject, request_id or new_request_id())
        for _ in range(MAX_WINDOW_MOVES):
            try:
                return await self._admit(subject, demand, cached, record)
            except WindowMoved:
                continue  # the error has updated the clock, which selects the next window
        raise LimitsUnavailable

    async def _admit(
        self, subject: Subject, demand: Demand, cached: CachedLimits, record: UsageRecord
    ) -> Admission:
        checks = cached.checks_for(subject.caller, now=self._counters.now())
        measured = self._measure(subject, demand, cached, checks)
        request = admit_request(
            measured,
            checks,
            request_id=record.request_id,
            facts=facts_of(record, subject.price),
        )
        decision = await self._decider.decide(request)
        if isinstance(decision, Refused):
            raise error_of(decision, now=self._counters.now())
        granted = decision.granted.completion_tokens
        hold = Hold(request, completion=granted, reported=not decision.without_redis)
        self._holds.add(hold)
        return Admission(
            subject=subject,
            demand=demand,
            record=record,
            started=time.monotonic(),
            hold=hold,
            decision=decision,
            max_completion_tokens=measured.completion_limit(
                decision.granted, checks, demand=demand
            ),
            extends=measured.extends,
            weight=cached.limits.weight,
        )

    def _measure(
        self, subject: Subject, demand: Demand, cached: CachedLimits, checks: Checks
    ) -> DemandUnderChecks:
        prompt = self._tokens.estimate(route=subject.route, prompt_bytes=demand.prompt_bytes)
        return measure(
            demand,
            checks,
            prompt_tokens=prompt,
            default_max_completion_tokens=cached.limits.default_max_completion_tokens,
        )

    def estimate_prompt(self, route: str, prompt_bytes: int) -> int:
        """Estimate the tokens of a prompt of so many bytes on this route, rarely too low."""
        return self._tokens.estimate(route=route, prompt_bytes=prompt_bytes)

    def estimate_completion(self, admission: Admission, *, seconds: float) -> int:
        """Estimate the completion tokens that the engine has generated in so many seconds."""
        route, demand = admission.subject.route, admission.demand
        if admission.max_completion_tokens is not None:
            demand = msgspec.structs.replace(
                demand, max_completion_tokens=admission.max_completion_tokens
            )
        return self._rates.estimate(route=route, seconds=seconds, demand=demand)

    async def extend(self, admission: Admission) -> bool:
        """Double the held completion, up to what is left. Return whether the hold has grown."""
        hold = admission.hold
        try:
            granted = await self._counters.extend(
                hold.progress(), completion_tokens=2 * hold.completion
            )
        except CountersUnavailable:
            # What is left is unknown. Usage beyond the hold is recorded in the ledger, too.
            hold.completion *= 2
            return True
        grown = granted > hold.completion
        hold.completion = max(granted, hold.completion)
        return grown

    def settle(self, admission: Admission, outcome: AdmissionOutcome) -> None:
        """Record the usage. Not a coroutine, so that a cancellation cannot interrupt it."""
        usage = outcome.usage
        admission.hold.end(usage)
        self._decider.release(admission.hold.request, admission.decision, usage)
        self._tokens.learn(
            route=admission.subject.route,
            prompt_bytes=admission.demand.prompt_bytes,
            usage=usage,
        )
        if outcome.status == COMPLETED:
            seconds = time.monotonic() - admission.started - outcome.waited
            self._rates.learn(route=admission.subject.route, seconds=seconds, usage=usage)
        self._ledger.record(final_record(admission, outcome))


def initial_record(subject: Subject, request_id: str) -> UsageRecord:
    """Return the record that bills a request whose worker dies."""
    now = datetime.now(UTC).isoformat()
    return UsageRecord(
        request_id=request_id,
        client_request_id=subject.client_request_id,
        kind="abandoned",
        tenant_id=subject.principal.tenant_id,
        api_key_id=subject.principal.key_id,
        member_id=subject.principal.member_id,
        door=subject.door,
        agent=subject.agent,
        agent_revision=subject.agent_revision,
        route=subject.route,
        prompt_tokens=0,
        completion_tokens=0,
        status="failed",
        error_code="worker_died",
        duration_ms=0.0,
        started_at=now,
        ended_at=now,
    )


def facts_of(record: UsageRecord, price: Price) -> bytes:
    """Encode the record and the price, from which a job bills the request if this worker dies."""
    facts = msgspec.json.encode(record)
    if price == FREE:
        return facts
    return facts[:-1] + b',"price":%b}' % msgspec.json.encode(price)


def final_record(admission: Admission, outcome: AdmissionOutcome) -> UsageRecord:
    """Return the record of a request that has ended."""
    usage = outcome.usage
    duration = time.monotonic() - admission.started
    return msgspec.structs.replace(
        admission.record,
        kind="final",
        pool=outcome.pool,
        endpoint=outcome.endpoint,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_micro=admission.subject.price.cost(
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
        ),
        estimated=usage.estimated,
        status=outcome.status,
        error_code=outcome.error_code,
        ttft_ms=None if outcome.ttft is None else round(outcome.ttft * 1000, 3),
        duration_ms=round(duration * 1000, 3),
        ended_at=datetime.now(UTC).isoformat(),
        decision=outcome.decision,
        charges=charges_of(admission.hold.request.checks, usage, failed=outcome.status == "failed"),
    )


def charges_of(checks: Checks, usage: Usage, *, failed: bool) -> tuple[Charge, ...]:
    """Return the charge to each quota; none if the request failed without using tokens."""
    if failed and not usage.total_tokens:
        return ()
    return tuple(
        Charge(
            counter=quota.counter,
            window=quota.window,
            amount=quota.amount(
                prompt=usage.prompt_tokens,
                completion=usage.completion_tokens,
                cached=usage.cached_tokens,
            ),
        )
        for check in checks.scopes
        for quota in check.quotas
    )
