"""Limits how fast a proposal is applied: windows, limits per period, cooldowns. Pure.

It follows the `behavior` of Kubernetes' HorizontalPodAutoscaler; see
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from typing import NamedTuple

from inference.scaling.decision import formatting
from inference.scaling.decision.types import EPSILON, Behavior, Limit, Rules, ScalingHistory


class Constrained(NamedTuple):
    """The allowed number of replicas, and the constraint that limited it."""

    replicas: int
    limited_by: str = ""
    reason: str = ""


def stabilize(
    proposed: int, *, current: int, rules: Rules, history: ScalingHistory, now: float
) -> Constrained:
    """Return the lowest proposal of the window to scale out, the highest to scale in."""
    grow = min([proposed, *proposals_within(history, seconds=rules.up.window, now=now)])
    shrink = max([proposed, *proposals_within(history, seconds=rules.down.window, now=now)])
    steady = min(max(current, grow), shrink)
    if steady == proposed:
        return Constrained(proposed)
    window = rules.up.window if proposed > current else rules.down.window
    message = (
        f"{formatting.replicas(steady)} for now: the stabilization window is "
        f"{formatting.seconds(window)} long, so that a short peak or dip changes nothing."
    )
    return Constrained(steady, "window", message)


def proposals_within(history: ScalingHistory, *, seconds: float, now: float) -> list[int]:
    return [replicas for at, replicas in history.proposals if at > now - seconds]


def apply_limits(
    wanted: int, *, current: int, rules: Rules, history: ScalingHistory, now: float
) -> Constrained:
    """Return the number of replicas nearest to `wanted` that limits and cooldowns allow."""
    if wanted == current:
        return Constrained(wanted)
    direction, way = (rules.up, "out") if wanted > current else (rules.down, "in")
    if direction.select == "disabled":
        return Constrained(current, "disabled", f"The policy does not scale {way}.")
    rest = cooldown_left(direction, history=history, now=now)
    if rest > 0:
        message = f"The cooldown after a change lasts {formatting.seconds(math.ceil(rest))} more."
        return Constrained(current, "cooldown", message)
    if wanted > current:
        max_allowed = highest(current, direction=direction, history=history, now=now)
        allowed = min(wanted, max(current, max_allowed))
    else:
        min_allowed = lowest(current, direction=direction, history=history, now=now)
        allowed = max(wanted, min(current, min_allowed))
    if allowed == wanted:
        return Constrained(wanted)
    limits = describe_limits(direction)
    message = f"{formatting.replicas(allowed)} for now: more at once is not allowed ({limits})."
    return Constrained(allowed, "limit", message)


def cooldown_left(direction: Behavior, *, history: ScalingHistory, now: float) -> float:
    last = max((at for at, _ in history.changes), default=-math.inf)
    return last + direction.cooldown - now


def highest(current: int, *, direction: Behavior, history: ScalingHistory, now: float) -> int:
    """Return the maximum number of replicas that the limits allow."""
    allowed = [
        max_replicas_of(limit, current, history=history, now=now) for limit in direction.limits
    ]
    if not allowed:
        return 10**9
    return max(allowed) if direction.select == "max" else min(allowed)


def lowest(current: int, *, direction: Behavior, history: ScalingHistory, now: float) -> int:
    """Return the minimum number of replicas that the limits allow."""
    allowed = [
        min_replicas_of(limit, current, history=history, now=now) for limit in direction.limits
    ]
    if not allowed:
        return 0
    return min(allowed) if direction.select == "max" else max(allowed)


def max_replicas_of(limit: Limit, current: int, *, history: ScalingHistory, now: float) -> int:
    before = at_start_of(limit, current, history=history, now=now)
    if limit.kind == "replicas":
        return before + int(limit.value)
    return math.ceil(before * (1 + limit.value / 100) - EPSILON)


def min_replicas_of(limit: Limit, current: int, *, history: ScalingHistory, now: float) -> int:
    before = at_start_of(limit, current, history=history, now=now)
    if limit.kind == "replicas":
        return before - int(limit.value)
    return math.floor(before * (1 - limit.value / 100) + EPSILON)


def at_start_of(limit: Limit, current: int, *, history: ScalingHistory, now: float) -> int:
    """Return the replicas at the start of the period, computed from the changes since."""
    return current - sum(delta for at, delta in history.changes if at > now - limit.seconds)


def describe_limits(direction: Behavior) -> str:
    return ", ".join(
        f"{formatting.number(each.value)}{' %' if each.kind == 'percent' else ''} in "
        f"{formatting.seconds(each.seconds)}"
        for each in direction.limits
    )
