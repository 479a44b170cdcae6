"""Target tracking, with the arithmetic of Kubernetes' HorizontalPodAutoscaler. Pure.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

import math

from inference.scaling.decision import formatting
from inference.scaling.decision.types import (
    EPSILON,
    UNKNOWN_READING,
    Observation,
    Proposal,
    Reading,
    Rules,
    SignalResult,
    SignalTarget,
)
from inference.signal_kinds import MEASURES


def propose(rules: Rules, observation: Observation) -> Proposal:
    """Propose the highest result of the signals. While one is unknown, nothing is scaled in."""
    signal_results = tuple(evaluate_target(each, rules, observation) for each in rules.targets)
    unknown = [each for each in signal_results if each.replicas is None]
    known = [each for each in signal_results if each.replicas is not None]
    if not known:
        reason = f"No signal is known: {formatting.replicas(observation.replicas)} stay."
        return Proposal(replicas=observation.replicas, reason=reason, signal_results=signal_results)
    largest = max(known, key=lambda each: each.replicas or 0)
    wanted = largest.replicas or 0
    if unknown and wanted < observation.replicas:
        names = ", ".join(formatting.label(each.kind) for each in unknown)
        reason = f"{largest.message} But nothing is scaled in while {names} is not known."
        return Proposal(replicas=observation.replicas, reason=reason, signal_results=signal_results)
    return Proposal(replicas=wanted, reason=largest.message, signal_results=signal_results)


def evaluate_target(target: SignalTarget, rules: Rules, observation: Observation) -> SignalResult:
    reading = observation.readings.get(target.kind, UNKNOWN_READING)
    if reading.value is None:
        text = f"{MEASURES[target.kind].label}: {reading.note or UNKNOWN_READING.note}."
        return result_of(target, reading, None, text)
    if MEASURES[target.kind].is_sum:
        return evaluate_sum(target, reading, rules, observation)
    return evaluate_mean(target, reading, rules, observation)


def evaluate_sum(
    target: SignalTarget, reading: Reading, rules: Rules, observation: Observation
) -> SignalResult:
    """Divide the sum of the pool by the target per replica."""
    total = reading.value or 0.0
    text = f"{MEASURES[target.kind].label}: {formatting.number(total)} in all"
    each = f"{formatting.number(target.target)} per replica"
    if observation.replicas and is_near(
        total / (target.target * observation.replicas), rules.tolerance
    ):
        return unchanged(target, reading, rules, observation, f"{text}, close to {each}")
    wanted = rounded_up(total / target.target)
    if reading.is_lower_bound and wanted < observation.replicas:
        present = formatting.replicas(observation.replicas)
        text = f"{text}, but not every replica reports: {present} stay."
        return result_of(target, reading, observation.replicas, text)
    return result_of(target, reading, wanted, f"{text}, {each}: {formatting.replicas(wanted)}.")


def evaluate_mean(
    target: SignalTarget, reading: Reading, rules: Rules, observation: Observation
) -> SignalResult:
    """Compare the mean of the reporting replicas with the target.

    Replicas that do not report count as idle if the pool would scale out, and as at the target if
    it would scale in. Replicas that are not ready count as idle if it would scale out.
    """
    mean = reading.value or 0.0
    ratio = mean / target.target
    text = (
        f"{MEASURES[target.kind].label}: {formatting.amount(target.kind, mean)}, "
        f"target {formatting.amount(target.kind, target.target)}"
    )
    if is_near(ratio, rules.tolerance):
        return unchanged(target, reading, rules, observation, text)
    corrected, count = with_missing_replicas(ratio, reading, observation)
    if is_near(corrected, rules.tolerance) or (ratio > 1) != (corrected > 1):
        return unchanged(
            target, reading, rules, observation, f"{text}, but not every replica reports"
        )
    wanted = rounded_up(corrected * count)
    # The correction changed the direction, because many are not ready: no change.
    if (corrected < 1) != (wanted < observation.replicas):
        wanted = observation.replicas
    return result_of(target, reading, wanted, f"{text}: {formatting.replicas(wanted)}.")


def with_missing_replicas(
    ratio: float, reading: Reading, observation: Observation
) -> tuple[float, int]:
    """Return the ratio with the replicas that do not report, and the number of replicas in it."""
    reporting = max(1, min(reading.reporting, observation.replicas))
    starting = max(0, observation.replicas - max(observation.ready, reporting))
    silent = max(0, observation.replicas - starting - reporting)
    if ratio > 1:
        return ratio * reporting / (reporting + silent + starting), reporting + silent + starting
    return (ratio * reporting + silent) / (reporting + silent), reporting + silent


def unchanged(
    target: SignalTarget, reading: Reading, rules: Rules, observation: Observation, text: str
) -> SignalResult:
    within = f"within {formatting.number(rules.tolerance * 100)} %"
    text = f"{text} ({within}): {formatting.replicas(observation.replicas)} stay."
    return result_of(target, reading, observation.replicas, text)


def result_of(
    target: SignalTarget, reading: Reading, wanted: int | None, text: str
) -> SignalResult:
    return SignalResult(
        kind=target.kind, value=reading.value, target=target.target, replicas=wanted, message=text
    )


def is_near(ratio: float, tolerance: float) -> bool:
    return abs(ratio - 1) <= tolerance + EPSILON


def rounded_up(value: float) -> int:
    return math.ceil(value - EPSILON)
