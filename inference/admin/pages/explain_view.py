"""One request explained: who asked, what it cost, where it went and why, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.admin.price import price_text
from inference.admin.strategy_help import picks
from inference.models import ModelEndpoint
from inference.monitoring.routing_decisions import Candidate, Decision, endpoints_in, read_decision
from tenants.limits.formatting import counter_words, number_words, window_words
from tenants.models import UsageEvent

Kind = UsageEvent.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """An endpoint on the way, by the name that people know it by."""

    id: str
    address: str
    """Its id again, if it is gone."""
    endpoint_pk: int | None
    in_flight: int | None = None
    is_chosen: bool = False
    said: str = ""
    """Why it was chosen or not, or how it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of the time that a request took."""

    name: str
    ms: float
    width: int
    """Per cent of the whole."""
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """What a request took from one quota window."""

    counter: str
    window: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known of one request."""

    event: UsageEvent
    corrections: tuple[UsageEvent, ...]
    decision: Decision
    why: str
    candidates: tuple[Stop, ...]
    retries: tuple[Stop, ...]
    answered_by: Stop | None
    phases: tuple[Phase, ...]
    charges: tuple[ChargeLine, ...]
    prompt_tokens: int
    """After all corrections; the next three too."""
    completion_tokens: int
    cached_tokens: int
    cost_micro: int

    @property
    def cost(self) -> str:
        return price_text(self.cost_micro)


def explain_requests(rows: Sequence[UsageEvent]) -> list[Explanation]:
    """The requests that `rows` are about, in their order. One query for all their endpoints."""
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
    """`rows` are all about one request: one that was billed, and its corrections."""
    event = next((row for row in rows if row.kind != Kind.CORRECTION), rows[0])
    decision = read_decision(event.decision)
    return Explanation(
        event=event,
        corrections=tuple(row for row in rows if row.kind == Kind.CORRECTION),
        decision=decision,
        why=why_words(event, decision),
        candidates=candidates_of(event, decision, known),
        retries=tuple(
            stop(each.endpoint, known, said=failure_words(each.error, each.after_ms))
            for each in decision.retries
        ),
        answered_by=stop(event.endpoint, known) if event.endpoint else None,
        phases=phases_of(event, decision),
        charges=charges_of(rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        cost_micro=sum(row.cost_micro for row in rows),
    )


def stop(endpoint: str, known: Mapping[str, ModelEndpoint], **facts: Any) -> Stop:
    row = known.get(endpoint)
    return Stop(
        id=endpoint,
        address=row.address if row else endpoint,
        endpoint_pk=row.pk if row else None,
        **facts,
    )


def candidates_of(
    event: UsageEvent, decision: Decision, known: Mapping[str, ModelEndpoint]
) -> tuple[Stop, ...]:
    """Every endpoint that was looked at, with why it was taken or not."""
    failed = {each.endpoint for each in decision.retries}
    chosen = set(decision.chosen) or {event.endpoint}
    return tuple(
        stop(
            each.endpoint,
            known,
            in_flight=each.in_flight,
            is_chosen=each.endpoint in chosen - failed,
            said=why_not(each, chosen=chosen, failed=failed),
        )
        for each in decision.candidates
    )


def why_not(candidate: Candidate, *, chosen: set[str], failed: set[str]) -> str:
    """In words; empty for the one that was chosen."""
    if candidate.endpoint in chosen - failed:
        return ""
    if candidate.endpoint in failed:
        return "it was tried, and failed"
    return candidate.why_not or "another one was preferred"


def why_words(event: UsageEvent, decision: Decision) -> str:
    """Why the endpoint, in one or two sentences."""
    if not event.endpoint:
        return "It was sent to no endpoint: none could take it, or the client left before."
    if decision.is_plain:
        return (
            "It went to the first endpoint that was chosen, and that one answered: "
            "nothing else was worth keeping."
        )
    sentences = [f"Chosen was {picks(decision.strategy)}." if decision.strategy else ""]
    if decision.fallback:
        sentences.append(
            f"No endpoint of the route's own pools could take it, so the fallback pool "
            f"{decision.fallback} stepped in."
        )
    if decision.hedged:
        sentences.append("The first token was late, so a second endpoint was asked too.")
    if decision.retries:
        sentences.append("An earlier endpoint failed before its first byte.")
    return " ".join(sentence for sentence in sentences if sentence)


def failure_words(error: str, after_ms: float | None) -> str:
    after = "" if after_ms is None else f" after {after_ms:,.0f} ms"
    return f"{(error or 'failed').replace('_', ' ')}{after}"


def phases_of(event: UsageEvent, decision: Decision) -> tuple[Phase, ...]:
    """The time from the admission on, in parts that add up to the duration."""
    whole = max(event.duration_ms, 0.0)
    waited = min(decision.waited_ms or 0.0, whole)
    first = min(max(event.ttft_ms or whole, waited), whole)
    parts = (
        ("waited for a turn", waited, "waited"),
        ("until the first token", first - waited, "first"),
        ("until the end", whole - first, "rest"),
    )
    return tuple(
        Phase(name=name, ms=ms, width=round(100 * ms / whole), css=css)
        for name, ms, css in parts
        if whole and ms > 0
    )


def charges_of(rows: Sequence[UsageEvent]) -> tuple[ChargeLine, ...]:
    """What was taken from each quota window, after all corrections."""
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
