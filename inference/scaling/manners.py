"""How fast a proposal is followed: windows, limits per period and rests. Pure.

As the `behavior` of Kubernetes' HorizontalPodAutoscaler has it; see
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from typing import NamedTuple

from inference.scaling import words
from inference.scaling.rules import HAIR, Direction, Limit, Memory, Rules


class Step(NamedTuple):
    """How far one may go, and what held it back."""

    replicas: int
    held_by: str = ""
    reason: str = ""


def steadied(proposed: int, *, current: int, rules: Rules, memory: Memory, now: float) -> Step:
    """The most cautious proposal of the windows: the smallest to grow, the largest to shrink."""
    grow = min([proposed, *within(memory, seconds=rules.up.window, now=now)])
    shrink = max([proposed, *within(memory, seconds=rules.down.window, now=now)])
    steady = min(max(current, grow), shrink)
    if steady == proposed:
        return Step(proposed)
    window = rules.up.window if proposed > current else rules.down.window
    said = (
        f"{words.replicas(steady)} for now: the last {words.seconds(window)} count together, so "
        "that one quiet or busy moment changes nothing."
    )
    return Step(steady, "window", said)


def within(memory: Memory, *, seconds: float, now: float) -> list[int]:
    return [replicas for at, replicas in memory.proposals if at > now - seconds]


def limited(wanted: int, *, current: int, rules: Rules, memory: Memory, now: float) -> Step:
    """As far towards `wanted` as limits and rests allow."""
    if wanted == current:
        return Step(wanted)
    direction, way = (rules.up, "growing") if wanted > current else (rules.down, "shrinking")
    if direction.select == "disabled":
        return Step(current, "disabled", f"The policy switches {way} off.")
    rest = rest_of(direction, memory=memory, now=now)
    if rest > 0:
        said = f"After a change it rests for {words.seconds(math.ceil(rest))} more."
        return Step(current, "cooldown", said)
    if wanted > current:
        most = highest(current, direction=direction, memory=memory, now=now)
        allowed = min(wanted, max(current, most))
    else:
        least = lowest(current, direction=direction, memory=memory, now=now)
        allowed = max(wanted, min(current, least))
    if allowed == wanted:
        return Step(wanted)
    said = f"{words.replicas(allowed)} for now: more at once is not allowed ({told(direction)})."
    return Step(allowed, "limit", said)


def rest_of(direction: Direction, *, memory: Memory, now: float) -> float:
    last = max((at for at, _ in memory.changes), default=-math.inf)
    return last + direction.cooldown - now


def highest(current: int, *, direction: Direction, memory: Memory, now: float) -> int:
    """The most replicas that the limits let there be."""
    allowed = [most_of(limit, current, memory=memory, now=now) for limit in direction.limits]
    if not allowed:
        return 10**9
    return max(allowed) if direction.select == "max" else min(allowed)


def lowest(current: int, *, direction: Direction, memory: Memory, now: float) -> int:
    """The fewest replicas that the limits let there be."""
    allowed = [least_of(limit, current, memory=memory, now=now) for limit in direction.limits]
    if not allowed:
        return 0
    return min(allowed) if direction.select == "max" else max(allowed)


def most_of(limit: Limit, current: int, *, memory: Memory, now: float) -> int:
    before = at_start_of(limit, current, memory=memory, now=now)
    if limit.kind == "replicas":
        return before + int(limit.value)
    return math.ceil(before * (1 + limit.value / 100) - HAIR)


def least_of(limit: Limit, current: int, *, memory: Memory, now: float) -> int:
    before = at_start_of(limit, current, memory=memory, now=now)
    if limit.kind == "replicas":
        return before - int(limit.value)
    return math.floor(before * (1 - limit.value / 100) + HAIR)


def at_start_of(limit: Limit, current: int, *, memory: Memory, now: float) -> int:
    """How many there were when the period began: today's, less what came and went since."""
    return current - sum(delta for at, delta in memory.changes if at > now - limit.seconds)


def told(direction: Direction) -> str:
    return ", ".join(
        f"{words.number(each.value)}{' %' if each.kind == 'percent' else ''} in "
        f"{words.seconds(each.seconds)}"
        for each in direction.limits
    )
