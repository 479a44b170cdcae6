"""How fast a proposal is followed: windows, limits per period and rests. Pure.

As the `behavior` of Kubernetes' HorizontalPodAutoscaler has it; see
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from typing import NamedTuple

from inference.scaling.decision import formatting
from inference.scaling.decision.types import EPSILON, Behavior, Limit, Rules, ScalingHistory


class Constrained(NamedTuple):
    """How far one may go, and what held it back."""

    replicas: int
    held_by: str = ""
    reason: str = ""


def stabilize(
    proposed: int, *, current: int, rules: Rules, memory: ScalingHistory, now: float
) -> Constrained:
    """The most cautious proposal of the windows: the smallest to grow, the largest to shrink."""
    grow = min([proposed, *within(memory, seconds=rules.up.window, now=now)])
    shrink = max([proposed, *within(memory, seconds=rules.down.window, now=now)])
    steady = min(max(current, grow), shrink)
    if steady == proposed:
        return Constrained(proposed)
    window = rules.up.window if proposed > current else rules.down.window
    said = (
        f"{formatting.replicas(steady)} for now: the last {formatting.seconds(window)} count "
        "together, so that one quiet or busy moment changes nothing."
    )
    return Constrained(steady, "window", said)


def within(memory: ScalingHistory, *, seconds: float, now: float) -> list[int]:
    return [replicas for at, replicas in memory.proposals if at > now - seconds]


def apply_limits(
    wanted: int, *, current: int, rules: Rules, memory: ScalingHistory, now: float
) -> Constrained:
    """As far towards `wanted` as limits and rests allow."""
    if wanted == current:
        return Constrained(wanted)
    direction, way = (rules.up, "growing") if wanted > current else (rules.down, "shrinking")
    if direction.select == "disabled":
        return Constrained(current, "disabled", f"The policy switches {way} off.")
    rest = cooldown_left(direction, memory=memory, now=now)
    if rest > 0:
        said = f"After a change it rests for {formatting.seconds(math.ceil(rest))} more."
        return Constrained(current, "cooldown", said)
    if wanted > current:
        most = highest(current, direction=direction, memory=memory, now=now)
        allowed = min(wanted, max(current, most))
    else:
        least = lowest(current, direction=direction, memory=memory, now=now)
        allowed = max(wanted, min(current, least))
    if allowed == wanted:
        return Constrained(wanted)
    limits = describe_limits(direction)
    said = f"{formatting.replicas(allowed)} for now: more at once is not allowed ({limits})."
    return Constrained(allowed, "limit", said)


def cooldown_left(direction: Behavior, *, memory: ScalingHistory, now: float) -> float:
    last = max((at for at, _ in memory.changes), default=-math.inf)
    return last + direction.cooldown - now


def highest(current: int, *, direction: Behavior, memory: ScalingHistory, now: float) -> int:
    """The most replicas that the limits let there be."""
    allowed = [most_of(limit, current, memory=memory, now=now) for limit in direction.limits]
    if not allowed:
        return 10**9
    return max(allowed) if direction.select == "max" else min(allowed)


def lowest(current: int, *, direction: Behavior, memory: ScalingHistory, now: float) -> int:
    """The fewest replicas that the limits let there be."""
    allowed = [least_of(limit, current, memory=memory, now=now) for limit in direction.limits]
    if not allowed:
        return 0
    return min(allowed) if direction.select == "max" else max(allowed)


def most_of(limit: Limit, current: int, *, memory: ScalingHistory, now: float) -> int:
    before = at_start_of(limit, current, memory=memory, now=now)
    if limit.kind == "replicas":
        return before + int(limit.value)
    return math.ceil(before * (1 + limit.value / 100) - EPSILON)


def least_of(limit: Limit, current: int, *, memory: ScalingHistory, now: float) -> int:
    before = at_start_of(limit, current, memory=memory, now=now)
    if limit.kind == "replicas":
        return before - int(limit.value)
    return math.floor(before * (1 - limit.value / 100) + EPSILON)


def at_start_of(limit: Limit, current: int, *, memory: ScalingHistory, now: float) -> int:
    """How many there were when the period began: today's, less what came and went since."""
    return current - sum(delta for at, delta in memory.changes if at > now - limit.seconds)


def describe_limits(direction: Behavior) -> str:
    return ", ".join(
        f"{formatting.number(each.value)}{' %' if each.kind == 'percent' else ''} in "
        f"{formatting.seconds(each.seconds)}"
        for each in direction.limits
    )
