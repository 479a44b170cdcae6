"""The two algorithms that go by thresholds: by steps of a few replicas, and by doubling. Pure."""

from collections.abc import Sequence

from inference.scaling.decision import formatting
from inference.scaling.decision.types import (
    NOTHING,
    Observation,
    Proposal,
    Reading,
    Rules,
    SignalResult,
    Target,
)
from inference.signal_kinds import MEASURES


def propose(rules: Rules, seen: Observation) -> Proposal:
    """Grow if any signal is above its threshold; shrink if all are below theirs."""
    return judged(rules, seen, more=seen.replicas + rules.step, fewer=seen.replicas - rules.step)


def propose_by_steps(rules: Rules, seen: Observation) -> Proposal:
    """Double if any signal is above its threshold; halve if all are below theirs."""
    # From one replica half of it is none, which only an idle pool goes to.
    fewer = max(min(1, seen.replicas), seen.replicas // 2)
    return judged(rules, seen, more=max(1, seen.replicas * 2), fewer=fewer)


def judged(rules: Rules, seen: Observation, *, more: int, fewer: int) -> Proposal:
    """`more`, `fewer` or what there is."""
    formulas = tuple(
        formula_of(each, seen, more=more, fewer=max(0, fewer)) for each in rules.targets
    )
    above = [each for each in formulas if each.replicas == more]
    if above:
        return Proposal(replicas=more, reason=describe_results(above, more), formulas=formulas)
    if formulas and all(each.replicas == max(0, fewer) != seen.replicas for each in formulas):
        return Proposal(
            replicas=max(0, fewer),
            reason=describe_results(formulas, max(0, fewer)),
            formulas=formulas,
        )
    stay = f"{formatting.replicas(seen.replicas)} stay."
    between = [each for each in formulas if each.replicas != max(0, fewer)]
    reason = (
        f"{describe_results(between or formulas, None)} {stay}"
        if formulas
        else f"No signal: {stay}"
    )
    return Proposal(replicas=seen.replicas, reason=reason, formulas=formulas)


def formula_of(target: Target, seen: Observation, *, more: int, fewer: int) -> SignalResult:
    reading = seen.readings.get(target.kind, NOTHING)
    value = value_of(reading, kind=target.kind, replicas=seen.replicas)
    if value is None:
        said = f"{MEASURES[target.kind].label}: {reading.note or NOTHING.note}"
        return formula(target, value, target.down, None, said)
    said = f"{MEASURES[target.kind].label} {formatting.amount(target.kind, value)}"
    if value > target.up:
        limit = formatting.amount(target.kind, target.up)
        return formula(target, value, target.up, more, f"{said} is above {limit}")
    limit = formatting.amount(target.kind, target.down)
    if reading.is_least:
        said = f"{said} or more, since not every replica tells"
        return formula(target, value, target.down, seen.replicas, said)
    if value < target.down:
        return formula(target, value, target.down, fewer, f"{said} is below {limit}")
    return formula(target, value, target.down, seen.replicas, f"{said} is not below {limit}")


def value_of(reading: Reading, *, kind: str, replicas: int) -> float | None:
    """Per replica."""
    if reading.value is None or not MEASURES[kind].is_sum:
        return reading.value
    return reading.value / max(1, replicas)


def formula(
    target: Target, value: float | None, wanted: float, replicas: int | None, said: str
) -> SignalResult:
    return SignalResult(kind=target.kind, value=value, wanted=wanted, replicas=replicas, words=said)


def describe_results(formulas: Sequence[SignalResult], wanted: int | None) -> str:
    """The sentences of the signals that decided."""
    said = "; ".join(each.words for each in formulas)
    return f"{said}." if wanted is None else f"{said}: {formatting.replicas(wanted)}."
