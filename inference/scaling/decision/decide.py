"""The decision: how many replicas a pool should have, and why. Pure."""

from collections.abc import Callable, Mapping

from inference.scaling.decision import formatting, target_tracking, thresholds
from inference.scaling.decision.behavior import Constrained, apply_limits, stabilize
from inference.scaling.decision.types import (
    NOTHING,
    Behavior,
    Observation,
    Proposal,
    Recommendation,
    Rules,
    ScalingHistory,
)

ALGORITHMS: Mapping[str, Callable[[Rules, Observation], Proposal]] = {
    "target_tracking": target_tracking.propose,
    "thresholds": thresholds.propose,
    "step": thresholds.propose_by_steps,
}
WAKES_WITH = 1


def decide(rules: Rules, seen: Observation, memory: ScalingHistory) -> Recommendation:
    """How many replicas there should be now.

    Never outside the bounds, but at zero where the policy rests there; never further at once than
    the limits allow, unless the pool is outside its bounds; never fewer because a signal is
    missing.
    """
    memory = remembered(rules, memory, seen)
    asleep = sleep_or_wake(rules, seen)
    if asleep is not None:
        return verdict(asleep, asleep.replicas, (), rules=rules, seen=seen, memory=memory)
    proposal = ALGORITHMS[rules.algorithm](rules, seen)
    memory = with_proposal(memory, proposal.replicas, now=seen.now)
    outside = back_inside(rules, seen)
    if outside is not None:
        return verdict(
            proposal, outside.replicas, (outside,), rules=rules, seen=seen, memory=memory
        )
    wanted = within_bounds(proposal.replicas, rules)
    steady = stabilize(
        wanted.replicas, current=seen.replicas, rules=rules, memory=memory, now=seen.now
    )
    # The memory holds proposals without bounds, and bounds may have changed since.
    steady = steady._replace(replicas=rules.bounds.clamp(steady.replicas))
    step = apply_limits(
        steady.replicas, current=seen.replicas, rules=rules, memory=memory, now=seen.now
    )
    held = (wanted, steady, step)
    return verdict(proposal, step.replicas, held, rules=rules, seen=seen, memory=memory)


def sleep_or_wake(rules: Rules, seen: Observation) -> Proposal | None:
    """What follows where the policy rests at zero; None: it is awake, and stays so."""
    if not rules.rests_at_zero:
        return None
    if seen.replicas == 0:
        return at_zero(rules, seen)
    idle = seen.now - seen.idle_since if seen.idle_since is not None else 0.0
    assert rules.idle_seconds is not None
    if idle < rules.idle_seconds or seen.replicas > max(WAKES_WITH, rules.bounds.least):
        return None
    return Proposal(replicas=0, reason=f"No request for {formatting.seconds(int(idle))}: it rests.")


def at_zero(rules: Rules, seen: Observation) -> Proposal:
    if not is_asked(seen):
        return Proposal(replicas=0, reason="Nobody asks for it: it rests.")
    wakes = min(rules.bounds.most, max(WAKES_WITH, rules.bounds.least))
    return Proposal(
        replicas=wakes, reason=f"Somebody asks for it: it wakes with {formatting.replicas(wakes)}."
    )


def is_asked(seen: Observation) -> bool:
    waiting = seen.readings.get("waiting", NOTHING).value
    return seen.is_wanted or bool(waiting)


def back_inside(rules: Rules, seen: Observation) -> Constrained | None:
    """At once, where there are more or fewer replicas than there may be."""
    inside = rules.bounds.clamp(seen.replicas)
    if inside == seen.replicas:
        return None
    which = "at most" if inside < seen.replicas else "at least"
    return Constrained(inside, "bounds", f"{source_of(rules)} wants {which} {inside}.")


def within_bounds(wanted: int, rules: Rules) -> Constrained:
    inside = rules.bounds.clamp(wanted)
    if inside == wanted:
        return Constrained(wanted)
    which = "at most" if inside < wanted else "at least"
    return Constrained(inside, "bounds", f"{source_of(rules)} allows {which} {inside}.")


def source_of(rules: Rules) -> str:
    name = rules.bounds.schedule
    return f"The schedule {name!r}" if name else "The policy"


def verdict(
    proposal: Proposal,
    desired: int,
    steps: tuple[Constrained, ...],
    *,
    rules: Rules,
    seen: Observation,
    memory: ScalingHistory,
) -> Recommendation:
    held = [each for each in steps if each.held_by]
    return Recommendation(
        proposed=proposal.replicas,
        desired=desired,
        reason=" ".join([proposal.reason, *(each.reason for each in held)]),
        held_by=held[-1].held_by if held else "",
        formulas=proposal.formulas,
        memory=memory,
    )


def remembered(rules: Rules, memory: ScalingHistory, seen: Observation) -> ScalingHistory:
    """Without what is too old to matter, or not yet true because a clock went back.

    Nothing known of the windows counts as if what there is had been proposed just now: whoever
    comes back after a pause must not shrink a pool at once.
    """
    oldest = seen.now - max(rules.up.window, rules.down.window)
    proposals = tuple(
        (min(at, seen.now), count) for at, count in memory.proposals if min(at, seen.now) > oldest
    )
    longest = max(longest_of(rules.up), longest_of(rules.down))
    changes = tuple((min(at, seen.now), by) for at, by in memory.changes)
    changes = tuple((at, by) for at, by in changes if at > seen.now - longest)
    return ScalingHistory(proposals=proposals or ((seen.now, seen.replicas),), changes=changes)


def longest_of(direction: Behavior) -> float:
    return max([direction.cooldown, *(limit.seconds for limit in direction.limits)])


def with_proposal(memory: ScalingHistory, replicas: int, *, now: float) -> ScalingHistory:
    """Of equal proposals in a row only the last one is kept: it is in every window longest."""
    kept = memory.proposals
    if kept and kept[-1][1] == replicas:
        kept = kept[:-1]
    return ScalingHistory(proposals=(*kept, (now, replicas)), changes=memory.changes)


def with_change(memory: ScalingHistory, delta: int, *, now: float) -> ScalingHistory:
    """After so many replicas were really added, or taken away (below 0)."""
    return ScalingHistory(proposals=memory.proposals, changes=(*memory.changes, (now, delta)))
