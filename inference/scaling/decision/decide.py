"""Decides how many replicas a pool should have, with the reason. Pure."""

from collections.abc import Callable, Mapping

from inference.scaling.decision import formatting, target_tracking, thresholds
from inference.scaling.decision.behavior import Constrained, apply_limits, stabilize
from inference.scaling.decision.types import (
    UNKNOWN_READING,
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
MIN_START_REPLICAS = 1


def decide(rules: Rules, observation: Observation, history: ScalingHistory) -> Recommendation:
    """Return the recommended number of replicas.

    It is within the bounds, or zero if the policy scales to zero. It changes within the limits,
    unless the pool is outside its bounds. It is never lower because a signal is missing.
    """
    history = prune_history(rules, history, observation)
    idle_proposal = scale_to_or_from_zero(rules, observation)
    if idle_proposal is not None:
        return recommend(
            idle_proposal,
            idle_proposal.replicas,
            (),
            rules=rules,
            observation=observation,
            history=history,
        )
    proposal = ALGORITHMS[rules.algorithm](rules, observation)
    history = with_proposal(history, proposal.replicas, now=observation.now)
    corrected = return_to_bounds(rules, observation)
    if corrected is not None:
        return recommend(
            proposal,
            corrected.replicas,
            (corrected,),
            rules=rules,
            observation=observation,
            history=history,
        )
    wanted = within_bounds(proposal.replicas, rules)
    stabilized = stabilize(
        wanted.replicas,
        current=observation.replicas,
        rules=rules,
        history=history,
        now=observation.now,
    )
    # The history has proposals without bounds, and the bounds may have changed.
    stabilized = stabilized._replace(replicas=rules.bounds.clamp(stabilized.replicas))
    limited = apply_limits(
        stabilized.replicas,
        current=observation.replicas,
        rules=rules,
        history=history,
        now=observation.now,
    )
    constraints = (wanted, stabilized, limited)
    return recommend(
        proposal,
        limited.replicas,
        constraints,
        rules=rules,
        observation=observation,
        history=history,
    )


def scale_to_or_from_zero(rules: Rules, observation: Observation) -> Proposal | None:
    """Return the proposal for a pool that is at zero or scales to zero; else None."""
    if not rules.scales_to_zero:
        return None
    if observation.replicas == 0:
        return at_zero(rules, observation)
    idle = observation.now - observation.idle_since if observation.idle_since is not None else 0.0
    assert rules.idle_seconds is not None
    if idle < rules.idle_seconds or observation.replicas > max(
        MIN_START_REPLICAS, rules.bounds.min_replicas
    ):
        return None
    return Proposal(
        replicas=0, reason=f"No request for {formatting.seconds(int(idle))}: it scales to zero."
    )


def at_zero(rules: Rules, observation: Observation) -> Proposal:
    if not has_demand(observation):
        return Proposal(replicas=0, reason="No request: it stays at zero.")
    wakes = min(rules.bounds.max_replicas, max(MIN_START_REPLICAS, rules.bounds.min_replicas))
    return Proposal(
        replicas=wakes, reason=f"Requests arrive: it starts {formatting.replicas(wakes)}."
    )


def has_demand(observation: Observation) -> bool:
    waiting = observation.readings.get("waiting", UNKNOWN_READING).value
    return observation.is_wanted or bool(waiting)


def return_to_bounds(rules: Rules, observation: Observation) -> Constrained | None:
    """Return the correction of a pool outside its bounds, without limits; None if inside."""
    clamped = rules.bounds.clamp(observation.replicas)
    if clamped == observation.replicas:
        return None
    which = "at most" if clamped < observation.replicas else "at least"
    return Constrained(clamped, "bounds", f"{source_of(rules)} requires {which} {clamped}.")


def within_bounds(wanted: int, rules: Rules) -> Constrained:
    clamped = rules.bounds.clamp(wanted)
    if clamped == wanted:
        return Constrained(wanted)
    which = "at most" if clamped < wanted else "at least"
    return Constrained(clamped, "bounds", f"{source_of(rules)} allows {which} {clamped}.")


def source_of(rules: Rules) -> str:
    name = rules.bounds.schedule
    return f"The schedule {name!r}" if name else "The policy"


def recommend(
    proposal: Proposal,
    desired: int,
    steps: tuple[Constrained, ...],
    *,
    rules: Rules,
    observation: Observation,
    history: ScalingHistory,
) -> Recommendation:
    constraints = [each for each in steps if each.limited_by]
    return Recommendation(
        proposed=proposal.replicas,
        desired=desired,
        reason=" ".join([proposal.reason, *(each.reason for each in constraints)]),
        limited_by=constraints[-1].limited_by if constraints else "",
        signal_results=proposal.signal_results,
        history=history,
    )


def prune_history(
    rules: Rules, history: ScalingHistory, observation: Observation
) -> ScalingHistory:
    """Return the history without expired entries, and without times in the future.

    If no proposal is left, the present replicas count as proposed now: the first evaluation after
    a pause must not scale in at once.
    """
    oldest = observation.now - max(rules.up.window, rules.down.window)
    proposals = tuple(
        (min(at, observation.now), count)
        for at, count in history.proposals
        if min(at, observation.now) > oldest
    )
    max_period = max(max_period_of(rules.up), max_period_of(rules.down))
    changes = tuple((min(at, observation.now), by) for at, by in history.changes)
    changes = tuple((at, by) for at, by in changes if at > observation.now - max_period)
    return ScalingHistory(
        proposals=proposals or ((observation.now, observation.replicas),), changes=changes
    )


def max_period_of(direction: Behavior) -> float:
    return max([direction.cooldown, *(limit.seconds for limit in direction.limits)])


def with_proposal(history: ScalingHistory, replicas: int, *, now: float) -> ScalingHistory:
    """Add a proposal. Of equal proposals in a row only the last one is stored."""
    proposals = history.proposals
    if proposals and proposals[-1][1] == replicas:
        proposals = proposals[:-1]
    return ScalingHistory(proposals=(*proposals, (now, replicas)), changes=history.changes)


def with_change(history: ScalingHistory, delta: int, *, now: float) -> ScalingHistory:
    """Add a change that was applied; replicas that were removed are negative."""
    return ScalingHistory(proposals=history.proposals, changes=(*history.changes, (now, delta)))
