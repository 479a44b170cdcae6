"""Explains one request: caller, cost, routing and timing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.admin.price import price_text
from inference.admin.strategy_help import picks
from inference.models import ModelEndpoint
from inference.monitoring.routing_decisions import (
    RankedEndpoint,
    RoutingDecision,
    endpoints_in,
    read_decision,
)
from tenants.limits.formatting import counter_words, number_words, window_words
from tenants.models import UsageEvent

Kind = UsageEvent.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedEndpoint:
    """An endpoint in the route trace of a request."""

    id: str
    address: str
    """Address of the endpoint; its id if the endpoint is gone."""
    endpoint_pk: int | None
    in_flight: int | None = None
    is_chosen: bool = False
    reason: str = ""
    """Why it was not chosen, or how it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of the duration of a request."""

    name: str
    ms: float
    width: int
    """Percentage of the duration."""
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """The amount that a request used of one quota window."""

    counter: str
    window: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of one request."""

    event: UsageEvent
    corrections: tuple[UsageEvent, ...]
    decision: RoutingDecision
    why: str
    candidates: tuple[TracedEndpoint, ...]
    retries: tuple[TracedEndpoint, ...]
    answered_by: TracedEndpoint | None
    phases: tuple[Phase, ...]
    charges: tuple[ChargeLine, ...]
    prompt_tokens: int
    """Includes all corrections, as do the next three."""
    completion_tokens: int
    cached_tokens: int
    cost_micro: int

    @property
    def cost(self) -> str:
        return price_text(self.cost_micro)


def explain_requests(rows: Sequence[UsageEvent]) -> list[Explanation]:
    """Explain the requests of `rows`, in their order, with one query for all endpoints."""
    by_request: dict[str, list[UsageEvent]] = {}
    for row in rows:
        by_request.setdefault(row.request_id, []).append(row)
    named = {row.endpoint for row in rows} | {
        each for row in rows for each in endpoints_in(read_decision(row.decision))
    }
    known = {
        each.public_id: each
        for each in ModelEndpoint.objects.filter(public_id__in=named).only("public_id", "address")
    }
    return [explain_one(each, known) for each in by_request.values()]


def explain_one(rows: Sequence[UsageEvent], known: Mapping[str, ModelEndpoint]) -> Explanation:
    """Explain one request; `rows` are its billed row and its corrections."""
    event = next((row for row in rows if row.kind != Kind.CORRECTION), rows[0])
    decision = read_decision(event.decision)
    return Explanation(
        event=event,
        corrections=tuple(row for row in rows if row.kind == Kind.CORRECTION),
        decision=decision,
        why=routing_reason(event, decision),
        candidates=candidates_of(event, decision, known),
        retries=tuple(
            traced_endpoint(each.endpoint, known, reason=failure_text(each.error, each.after_ms))
            for each in decision.retries
        ),
        answered_by=traced_endpoint(event.endpoint, known) if event.endpoint else None,
        phases=phases_of(event, decision),
        charges=charges_of(rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        cost_micro=sum(row.cost_micro for row in rows),
    )


def traced_endpoint(
    endpoint: str, known: Mapping[str, ModelEndpoint], **facts: Any
) -> TracedEndpoint:
    row = known.get(endpoint)
    return TracedEndpoint(
        id=endpoint,
        address=row.address if row else endpoint,
        endpoint_pk=row.pk if row else None,
        **facts,
    )


def candidates_of(
    event: UsageEvent, decision: RoutingDecision, known: Mapping[str, ModelEndpoint]
) -> tuple[TracedEndpoint, ...]:
    """Return every candidate, with the reason if it was not chosen."""
    failed = {each.endpoint for each in decision.retries}
    chosen = set(decision.chosen) or {event.endpoint}
    return tuple(
        traced_endpoint(
            each.endpoint,
            known,
            in_flight=each.in_flight,
            is_chosen=each.endpoint in chosen - failed,
            reason=why_not(each, chosen=chosen, failed=failed),
        )
        for each in decision.candidates
    )


def why_not(candidate: RankedEndpoint, *, chosen: set[str], failed: set[str]) -> str:
    """Return why a candidate was not chosen; empty for the chosen one."""
    if candidate.endpoint in chosen - failed:
        return ""
    if candidate.endpoint in failed:
        return "it was tried and failed"
    return candidate.why_not or "another one was preferred"


def routing_reason(event: UsageEvent, decision: RoutingDecision) -> str:
    """Return the reason for the endpoint, in one or two sentences."""
    if decision.tool:
        return f"It called the tool {decision.tool}, which needs no model."
    if not event.endpoint:
        return (
            "It was not sent to an endpoint: none was available, or the client disconnected first."
        )
    if decision.is_plain:
        return (
            "The first endpoint that was chosen answered. The ledger stores no more details "
            "of such a request."
        )
    sentences = [f"It was sent to {picks(decision.strategy)}." if decision.strategy else ""]
    if decision.fallback:
        sentences.append(
            "No endpoint of the route's own pools was available, so the fallback pool "
            f"{decision.fallback} was used."
        )
    if decision.hedged:
        sentences.append(
            "The first token was late, so the request was also sent to a second endpoint."
        )
    if decision.retries:
        sentences.append("An earlier endpoint failed before its first byte.")
    return " ".join(sentence for sentence in sentences if sentence)


def failure_text(error: str, after_ms: float | None) -> str:
    after = "" if after_ms is None else f" after {after_ms:,.0f} ms"
    return f"{(error or 'failed').replace('_', ' ')}{after}"


def phases_of(event: UsageEvent, decision: RoutingDecision) -> tuple[Phase, ...]:
    """Split the duration, which starts at the admission, into phases."""
    whole = max(event.duration_ms, 0.0)
    waited = min(decision.waited_ms or 0.0, whole)
    first = min(max(event.ttft_ms or whole, waited), whole)
    name_of_first = "until the result" if decision.tool else "until the first token"
    parts = (
        ("queued", waited, "waited"),
        (name_of_first, first - waited, "first"),
        ("until the end", whole - first, "rest"),
    )
    return tuple(
        Phase(name=name, ms=ms, width=round(100 * ms / whole), css=css)
        for name, ms, css in parts
        if whole and ms > 0
    )


def charges_of(rows: Sequence[UsageEvent]) -> tuple[ChargeLine, ...]:
    """Return the amount used of each quota window, including all corrections."""
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        for charge in row.charges:
            place = charge["counter"], charge["window"]
            sums[place] = sums.get(place, 0) + charge["amount"]
    return tuple(
        ChargeLine(
            counter=counter_words(counter),
            window=window_words(window),
            amount=number_words(amount, counter.rpartition("|")[2]),
        )
        for (counter, window), amount in sorted(sums.items())
    )
