"""The two threshold algorithms: fixed steps, and doubling. Pure."""

from collections.abc import Sequence

from inference.scaling.decision import formatting
from inference.scaling.decision.types import (
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
    """Scale out if any signal is above its threshold, scale in if all are below theirs."""
    return propose_change(
        rules,
        observation,
        more=observation.replicas + rules.step,
        fewer=observation.replicas - rules.step,
    )


def propose_by_steps(rules: Rules, observation: Observation) -> Proposal:
    """Double if any signal is above its threshold; halve if all are below theirs."""
    # Half of one replica is none, but only an idle pool scales to zero.
    fewer = max(min(1, observation.replicas), observation.replicas // 2)
    return propose_change(rules, observation, more=max(1, observation.replicas * 2), fewer=fewer)


def propose_change(rules: Rules, observation: Observation, *, more: int, fewer: int) -> Proposal:
    """Propose `more`, `fewer` or the present number of replicas."""
    signal_results = tuple(
        evaluate_target(each, observation, more=more, fewer=max(0, fewer)) for each in rules.targets
    )
    above = [each for each in signal_results if each.replicas == more]
    if above:
        return Proposal(
            replicas=more, reason=describe_results(above, more), signal_results=signal_results
        )
    if signal_results and all(
        each.replicas == max(0, fewer) != observation.replicas for each in signal_results
    ):
        return Proposal(
            replicas=max(0, fewer),
            reason=describe_results(signal_results, max(0, fewer)),
            signal_results=signal_results,
        )
    stay = f"{formatting.replicas(observation.replicas)} stay."
    between = [each for each in signal_results if each.replicas != max(0, fewer)]
    reason = (
        f"{describe_results(between or signal_results, None)} {stay}"
        if signal_results
        else f"No signal: {stay}"
    )
    return Proposal(replicas=observation.replicas, reason=reason, signal_results=signal_results)


def evaluate_target(
    target: SignalTarget, observation: Observation, *, more: int, fewer: int
) -> SignalResult:
    reading = observation.readings.get(target.kind, UNKNOWN_READING)
    value = value_of(reading, kind=target.kind, replicas=observation.replicas)
    if value is None:
        text = f"{MEASURES[target.kind].label}: {reading.note or UNKNOWN_READING.note}"
        return result_of(target, value, target.down, None, text)
    text = f"{MEASURES[target.kind].label} {formatting.amount(target.kind, value)}"
    if value > target.up:
        limit = formatting.amount(target.kind, target.up)
        return result_of(target, value, target.up, more, f"{text} is above {limit}")
    limit = formatting.amount(target.kind, target.down)
    if reading.is_lower_bound:
        text = f"{text} or more, since not every replica reports"
        return result_of(target, value, target.down, observation.replicas, text)
    if value < target.down:
        return result_of(target, value, target.down, fewer, f"{text} is below {limit}")
    return result_of(
        target, value, target.down, observation.replicas, f"{text} is not below {limit}"
    )


def value_of(reading: Reading, *, kind: str, replicas: int) -> float | None:
    """Return the value per replica."""
    if reading.value is None or not MEASURES[kind].is_sum:
        return reading.value
    return reading.value / max(1, replicas)


def result_of(
    target: SignalTarget, value: float | None, threshold: float, replicas: int | None, text: str
) -> SignalResult:
    return SignalResult(
        kind=target.kind, value=value, target=threshold, replicas=replicas, message=text
    )


def describe_results(signal_results: Sequence[SignalResult], wanted: int | None) -> str:
    """Join the messages of the signals that decided."""
    text = "; ".join(each.message for each in signal_results)
    return f"{text}." if wanted is None else f"{text}: {formatting.replicas(wanted)}."
