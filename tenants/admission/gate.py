"""The one pair on every request's path: admit before the model runs, settle after it has."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from kernel.ids import new_request_id
from tenants.admission.answer_paces import AnswerPaces
from tenants.admission.decider import Decider, Decision
from tenants.admission.holds import Hold, Holds
from tenants.admission.limits.cache import CachedLimits, LimitsCache
from tenants.admission.limits.checks import Checks
from tenants.admission.limits.compile import Caller
from tenants.admission.limits.demand import Demand, Measure, ask_for, measure
from tenants.admission.limits.errors import CountersAway, WindowMoved
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
    """What is asked for: by whom, through which door, of which model."""

    principal: Principal
    door: str
    kind: str = "chat"
    """The scope of keys that it needs; limits call it a door."""
    route: str
    price: Price = FREE
    agent: str = ""
    agent_revision: int | None = None
    client_request_id: str = ""
    free: bool = False
    """Whether it takes no tokens whatever it answers: no rate or quota of tokens or cost counts
    it, those of requests do."""

    @property
    def caller(self) -> Caller:
        """As limits see it."""
        return Caller(
            tenant_id=self.principal.tenant_id,
            key_id=self.principal.key_id,
            lineage_id=self.principal.lineage_id,
            member_id=self.principal.member_id,
            route=self.route,
            door=self.kind,
            price=self.price,
            free=self.free,
        )


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may run. It must be settled exactly once."""

    subject: Subject
    demand: Demand
    record: UsageRecord
    """As the ledger would have it if nothing were used."""
    started: float
    """Monotonic seconds."""
    hold: Hold
    decision: Decision
    longest_answer: int | None
    """Tokens to which the engine must limit each answer; None: as the client says."""
    extends: bool
    """Whether the answer may outgrow its hold, which must then be extended first."""
    weight: int = 1
    """The tenant's share of busy engines, beside other tenants' weights."""

    @property
    def request_id(self) -> str:
        return self.record.request_id

    @property
    def expected_tokens(self) -> int:
        """Of the prompt and of all answers, as held."""
        return self.hold.ask.prompt_tokens + self.hold.completion

    def headers(self) -> Headers:
        """How the caller's limits stand, for the answer."""
        granted = self.decision.granted
        return limit_headers(granted.standings) + warning_headers(granted.quotas)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an admitted request ended."""

    usage: Usage
    status: str
    error_code: str = ""
    pool: str = ""
    endpoint: str = ""
    ttft: float | None = None
    """Seconds from admission to the first token."""
    waited: float = 0.0
    """Seconds before the engine began."""
    decision: dict[str, Any] = {}


class Gate:
    """Admits requests within every limit, and writes down what they used."""

    def __init__(
        self,
        *,
        book: LimitsCache,
        counters: CounterStore,
        decider: Decider,
        holds: Holds,
        ledger: LedgerWriter,
    ) -> None:
        self._book = book
        self._counters = counters
        self._decider = decider
        self._holds = holds
        self._ledger = ledger
        self._sizes = TokenEstimator()
        self._paces = AnswerPaces()

    async def admit(self, subject: Subject, demand: Demand, *, request_id: str = "") -> Admission:
        """Let a request run, and hold for it what it may use.

        Raises the refusals of CONTRACT §2, LimitsUnavailable, and LedgerFull if its usage could
        not be recorded.
        """
        self._ledger.ensure_room()
        page = await self._book.of_tenant(subject.principal.tenant_id)
        record = first_record(subject, request_id or new_request_id())
        for _ in range(MAX_WINDOW_MOVES):
            try:
                return await self._admit(subject, demand, page, record)
            except WindowMoved:
                continue  # a window has just ended by Redis' clock, which we know now
        raise LimitsUnavailable

    async def _admit(
        self, subject: Subject, demand: Demand, page: CachedLimits, record: UsageRecord
    ) -> Admission:
        checks = page.checks_for(subject.caller, now=self._counters.now())
        measured = self._measure(subject, demand, page, checks)
        ask = ask_for(
            measured,
            checks,
            request_id=record.request_id,
            facts=facts_of(record, subject.price),
        )
        decision = await self._decider.decide(ask)
        if isinstance(decision, Refused):
            raise error_of(decision, now=self._counters.now())
        granted = decision.granted.completion_tokens
        hold = Hold(ask, completion=granted, reported=not decision.without_redis)
        self._holds.add(hold)
        return Admission(
            subject=subject,
            demand=demand,
            record=record,
            started=time.monotonic(),
            hold=hold,
            decision=decision,
            longest_answer=measured.longest_answer(decision.granted, checks, demand=demand),
            extends=measured.extends,
            weight=page.limits.weight,
        )

    def _measure(
        self, subject: Subject, demand: Demand, page: CachedLimits, checks: Checks
    ) -> Measure:
        prompt = self._sizes.estimate(route=subject.route, prompt_bytes=demand.prompt_bytes)
        return measure(
            demand, checks, prompt_tokens=prompt, longest_answer=page.limits.longest_answer
        )

    def estimate_prompt(self, route: str, prompt_bytes: int) -> int:
        """Tokens that a prompt of so many bytes will hardly exceed on this route."""
        return self._sizes.estimate(route=route, prompt_bytes=prompt_bytes)

    def estimate_answer(self, admission: Admission, *, seconds: float) -> int:
        """Tokens that the engine has made of an answer on which it has worked for so long."""
        route, demand = admission.subject.route, admission.demand
        if admission.longest_answer is not None:
            demand = msgspec.structs.replace(demand, longest_answer=admission.longest_answer)
        return self._paces.estimate(route=route, seconds=seconds, demand=demand)

    async def extend(self, admission: Admission) -> bool:
        """Hold twice the answer, or what is left. False if there is no more than before."""
        hold = admission.hold
        try:
            granted = await self._counters.extend(
                hold.progress(), completion_tokens=2 * hold.completion
            )
        except CountersAway:
            # Nobody can say; what it uses beyond its hold is in the ledger all the same.
            hold.completion *= 2
            return True
        grown = granted > hold.completion
        hold.completion = max(granted, hold.completion)
        return grown

    def settle(self, admission: Admission, outcome: Outcome) -> None:
        """Charge what was used. Not a coroutine, so that no cancellation can come between."""
        usage = outcome.usage
        admission.hold.end(usage)
        self._decider.release(admission.hold.ask, admission.decision, usage)
        self._sizes.learn(
            route=admission.subject.route,
            prompt_bytes=admission.demand.prompt_bytes,
            usage=usage,
        )
        if outcome.status == COMPLETED:
            seconds = time.monotonic() - admission.started - outcome.waited
            self._paces.learn(route=admission.subject.route, seconds=seconds, usage=usage)
        self._ledger.record(last_record(admission, outcome))


def first_record(subject: Subject, request_id: str) -> UsageRecord:
    """What the ledger must know of a request if nothing more is ever heard of it."""
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
    """What a job needs to bill the request if this worker dies: its record, and its price."""
    facts = msgspec.json.encode(record)
    if price == FREE:
        return facts
    return facts[:-1] + b',"price":%b}' % msgspec.json.encode(price)


def last_record(admission: Admission, outcome: Outcome) -> UsageRecord:
    """What the ledger is told of a request that has ended."""
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
        charges=charges_of(admission.hold.ask.checks, usage, failed=outcome.status == "failed"),
    )


def charges_of(checks: Checks, usage: Usage, *, failed: bool) -> tuple[Charge, ...]:
    """What a request takes from each quota; nothing if it failed without using anything."""
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
