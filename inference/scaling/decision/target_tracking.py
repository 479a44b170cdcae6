"""Target tracking, with the arithmetic of Kubernetes' HorizontalPodAutoscaler. Pure.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

import math

from inference.scaling.decision import formatting
from inference.scaling.decision.types import (
    EPSILON,
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
    """The largest that any signal wants. One that tells nothing never lets replicas go."""
    formulas = tuple(formula_of(each, rules, seen) for each in rules.targets)
    silent = [each for each in formulas if each.replicas is None]
    known = [each for each in formulas if each.replicas is not None]
    if not known:
        reason = f"No signal tells anything, so {formatting.replicas(seen.replicas)} stay."
        return Proposal(replicas=seen.replicas, reason=reason, formulas=formulas)
    largest = max(known, key=lambda each: each.replicas or 0)
    wanted = largest.replicas or 0
    if silent and wanted < seen.replicas:
        names = ", ".join(formatting.label(each.kind) for each in silent)
        reason = f"{largest.words} But nothing is taken away while {names} is not known."
        return Proposal(replicas=seen.replicas, reason=reason, formulas=formulas)
    return Proposal(replicas=wanted, reason=largest.words, formulas=formulas)


def formula_of(target: Target, rules: Rules, seen: Observation) -> SignalResult:
    """What one signal comes to."""
    reading = seen.readings.get(target.kind, NOTHING)
    if reading.value is None:
        said = f"{MEASURES[target.kind].label}: {reading.note or NOTHING.note}."
        return formula(target, reading, None, said)
    if MEASURES[target.kind].is_sum:
        return sum_formula(target, reading, rules, seen)
    return mean_formula(target, reading, rules, seen)


def sum_formula(target: Target, reading: Reading, rules: Rules, seen: Observation) -> SignalResult:
    """The pool's total, divided by what one replica should have."""
    total = reading.value or 0.0
    said = f"{MEASURES[target.kind].label}: {formatting.number(total)} in all"
    each = f"{formatting.number(target.target)} per replica"
    if seen.replicas and is_near(total / (target.target * seen.replicas), rules.tolerance):
        return stays(target, reading, rules, seen, f"{said}, close to {each}")
    wanted = rounded_up(total / target.target)
    if reading.is_least and wanted < seen.replicas:
        said = f"{said}, but not every replica tells: {formatting.replicas(seen.replicas)} stay."
        return formula(target, reading, seen.replicas, said)
    return formula(target, reading, wanted, f"{said}, {each}: {formatting.replicas(wanted)}.")


def mean_formula(target: Target, reading: Reading, rules: Rules, seen: Observation) -> SignalResult:
    """The mean of the replicas that tell, against the target.

    Before it counts, replicas that tell nothing are taken for idle if the pool would grow, and for
    right on target if it would shrink; those that are not ready are idle if it would grow, and
    left out otherwise.
    """
    mean = reading.value or 0.0
    ratio = mean / target.target
    said = (
        f"{MEASURES[target.kind].label}: {formatting.amount(target.kind, mean)}, "
        f"wanted {formatting.amount(target.kind, target.target)}"
    )
    if is_near(ratio, rules.tolerance):
        return stays(target, reading, rules, seen, said)
    corrected, count = with_silent(ratio, reading, seen)
    if is_near(corrected, rules.tolerance) or (ratio > 1) != (corrected > 1):
        return stays(target, reading, rules, seen, f"{said}, but not every replica tells")
    wanted = rounded_up(corrected * count)
    # The other way than the ratio says, because so many are not ready: no reason to move.
    if (corrected < 1) != (wanted < seen.replicas):
        wanted = seen.replicas
    return formula(target, reading, wanted, f"{said}: {formatting.replicas(wanted)}.")


def with_silent(ratio: float, reading: Reading, seen: Observation) -> tuple[float, int]:
    """The ratio with the replicas that tell nothing, and of how many it is the mean then."""
    telling = max(1, min(reading.telling, seen.replicas))
    starting = max(0, seen.replicas - max(seen.ready, telling))
    silent = max(0, seen.replicas - starting - telling)
    if ratio > 1:
        return ratio * telling / (telling + silent + starting), telling + silent + starting
    return (ratio * telling + silent) / (telling + silent), telling + silent


def stays(
    target: Target, reading: Reading, rules: Rules, seen: Observation, said: str
) -> SignalResult:
    within = f"within {formatting.number(rules.tolerance * 100)} %"
    said = f"{said} ({within}): {formatting.replicas(seen.replicas)} stay."
    return formula(target, reading, seen.replicas, said)


def formula(target: Target, reading: Reading, wanted: int | None, said: str) -> SignalResult:
    return SignalResult(
        kind=target.kind, value=reading.value, wanted=target.target, replicas=wanted, words=said
    )


def is_near(ratio: float, tolerance: float) -> bool:
    return abs(ratio - 1) <= tolerance + EPSILON


def rounded_up(value: float) -> int:
    return math.ceil(value - EPSILON)
