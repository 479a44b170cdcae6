"""Evaluates every pool once per slot of 15 seconds, and decides how many replicas it needs.

The evaluator that moves a pool's state to the present slot owns the pool for it; a concurrent
evaluator skips locked rows and rows of the present slot. No actuator is called while rows are
locked.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from inference.models import ModelPool, PoolSample, ScalingDecision, ScalingPolicy, ScalingState
from inference.models.scaling_policy import ActuatorKind, Mode
from inference.models.scaling_record import SLOT_SECONDS
from inference.scaling.actuation import Change, apply_changes, is_sampled, read_replicas
from inference.scaling.decision import decide as algorithm
from inference.scaling.decision import formatting
from inference.scaling.decision.types import (
    Observation,
    Reading,
    Recommendation,
    Rules,
    ScalingHistory,
)
from inference.scaling.policies.mapping import rules_of, stored_hours, stored_signals
from inference.scaling.policies.services import is_overridden
from inference.scaling.signals.collect import (
    Counted,
    PoolFacts,
    PoolObservation,
    collect_pools,
    observe_pool,
    read_live,
    with_queries,
)
from inference.scaling.signals.prometheus import query_prometheus
from inference.signal_kinds import MEASURES

log = logging.getLogger(__name__)

Outcome = ScalingDecision.Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The values that are read before any row is locked; mappings have the pool's id as key."""

    now: datetime
    pools: Sequence[PoolFacts]
    policies: Mapping[int, ScalingPolicy]
    live: Any = None
    replicas: Mapping[int, int] = field(default_factory=dict)
    """Replicas as reported by actuators."""
    errors: Mapping[int, str] = field(default_factory=dict)
    """Messages of actuators that failed to report."""
    answers: Mapping[int, Mapping[str, Reading]] = field(default_factory=dict)
    """Readings from Prometheus."""

    @property
    def slot(self) -> int:
        return slot_of(self.now)

    @property
    def slot_at(self) -> datetime:
        """Start of the slot."""
        return datetime.fromtimestamp(self.slot * SLOT_SECONDS, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of an evaluation for one pool."""

    state: ScalingState
    sample: PoolSample
    decision: ScalingDecision | None = None
    change: Change | None = None


def evaluate_pools(*, now: datetime) -> int:
    """Evaluate all pools that were not evaluated in this slot, and return their number.

    Safe to run repeatedly and concurrently. Costs one query if no pool is due.
    """
    if not ScalingState.objects.is_anything_due(slot=slot_of(now)):
        return 0
    inputs = read_inputs(now=now)
    results = decide_pools(inputs)
    apply_changes([each.change for each in results if each.change])
    return len(results)


def slot_of(now: datetime) -> int:
    return int(now.timestamp()) // SLOT_SECONDS


def read_inputs(*, now: datetime) -> Inputs:
    pools = collect_pools()
    policies = {policy.pool_id: policy for policy in active_policies()}
    replicas, errors = read_replicas(policies)
    return Inputs(
        now=now,
        pools=pools,
        policies=policies,
        live=read_live(),
        replicas=replicas,
        errors=errors,
        answers=query_prometheus(
            {pool: stored_signals(policy) for pool, policy in policies.items()}
        ),
    )


def active_policies() -> list[ScalingPolicy]:
    rows = ScalingPolicy.objects.exclude(mode=Mode.OFF).select_related("pool")
    return list(rows.prefetch_related("signals", "schedules"))


@transaction.atomic
def decide_pools(inputs: Inputs) -> list[Result]:
    """Store the slot, sample and decision of each pool in one transaction."""
    make_states(inputs.pools)
    facts = {each.pool_id: each for each in inputs.pools}
    free = ScalingState.objects.free(slot=inputs.slot).filter(pool_id__in=facts)
    results = [decide(facts[state.pool_id], state, inputs) for state in free]
    ScalingState.objects.bulk_update(
        [each.state for each in results], ["slot", "history", "status"], batch_size=200
    )
    PoolSample.objects.bulk_create(
        [each.sample for each in results], ignore_conflicts=True, batch_size=500
    )
    # After a clock was set back, the same slots are evaluated again.
    decisions = [each.decision for each in results if each.decision]
    ScalingDecision.objects.bulk_create(decisions, ignore_conflicts=True, batch_size=500)
    return results


def make_states(pools: Sequence[PoolFacts]) -> None:
    known = set(ScalingState.objects.values_list("pool_id", flat=True))
    new = {each.pool_id for each in pools} - known
    # A pool may have been deleted since it was read.
    alive = ModelPool.objects.filter(pk__in=new).values_list("pk", flat=True) if new else ()
    states = [ScalingState(pool_id=pk) for pk in alive]
    ScalingState.objects.bulk_create(states, ignore_conflicts=True)


def decide(facts: PoolFacts, state: ScalingState, inputs: Inputs) -> Result:
    """Decide for one pool, whose state must be locked."""
    pool_observation = with_queries(
        observe_pool(
            facts,
            live=inputs.live,
            before=Counted(**state.history.get("counted", {})),
            now=inputs.now.timestamp(),
            slot_at=inputs.slot_at.timestamp(),
            replicas=inputs.replicas.get(facts.pool_id),
        ),
        inputs.answers.get(facts.pool_id, {}),
    )
    policy = inputs.policies.get(facts.pool_id)
    history = history_of(state)
    error = inputs.errors.get(facts.pool_id, "")
    if policy is None:
        write_state(state, pool_observation, history, inputs)
        return Result(state=state, sample=sample_of(pool_observation, state.pool_id, inputs))
    rules = rules_of(
        policy,
        signals=stored_signals(policy),
        schedules=stored_hours(policy),
        moment=inputs.now,
    )
    found = algorithm.decide(rules, pool_observation.observation, history)
    recommendation = apply_overrides(
        found, policy, pool_observation.observation, now=inputs.now, error=error
    )
    decision = decision_of(policy, recommendation, pool_observation, state, inputs, error=error)
    write_state(
        state,
        pool_observation,
        recommendation.history,
        inputs,
        recommendation=recommendation,
        rules=rules,
    )
    sample = sample_of(
        pool_observation, state.pool_id, inputs, recommendation=recommendation, rules=rules
    )
    change = change_of(policy, decision, pool_observation, facts, inputs)
    return Result(state=state, sample=sample, decision=decision, change=change)


def apply_overrides(
    found: Recommendation,
    policy: ScalingPolicy,
    observation: Observation,
    *,
    now: datetime,
    error: str = "",
) -> Recommendation:
    """Apply a failure of the actuator, a pause or a manual override, in this order. Pure."""
    if error:
        return unchanged(found, observation, f"{error} Nothing is changed.", limited_by="actuator")
    if policy.paused:
        return unchanged(found, observation, "Paused: resume it on the policy's page.")
    if is_overridden(policy, now=now):
        wanted, until = policy.override_replicas or 0, policy.override_until
        assert until is not None
        reason = f"Set by hand to {formatting.replicas(wanted)} until {until:%Y-%m-%d %H:%M} UTC."
        return overridden(found, wanted, reason, limited_by="override")
    return found


def unchanged(
    found: Recommendation, observation: Observation, reason: str, *, limited_by: str = "paused"
) -> Recommendation:
    return overridden(found, observation.replicas, reason, limited_by=limited_by)


def overridden(
    found: Recommendation, desired: int, reason: str, *, limited_by: str
) -> Recommendation:
    """Return the recommendation with another `desired`; the policy's own reason is appended."""
    return Recommendation(
        proposed=found.proposed,
        desired=desired,
        reason=f"{reason} The policy's recommendation: {found.reason}",
        limited_by=limited_by,
        signal_results=found.signal_results,
        history=found.history,
    )


def decision_of(
    policy: ScalingPolicy,
    recommendation: Recommendation,
    pool_observation: PoolObservation,
    state: ScalingState,
    inputs: Inputs,
    *,
    error: str,
) -> ScalingDecision | None:
    """Return the decision to store; None if it changes nothing and its slot is not sampled."""
    observation = pool_observation.observation
    moves = recommendation.desired != observation.replicas
    carries_out = moves and is_applied(policy)
    is_notable = carries_out or recommendation.desired != state.status.get(
        "desired", observation.replicas
    )
    is_notable = is_notable or bool(error) != bool(state.status.get("trouble"))
    if not is_notable and not is_sampled(slot=inputs.slot, pool_id=state.pool_id):
        return None
    outcome = (
        Outcome.PENDING if carries_out else Outcome.RECOMMENDED if moves else Outcome.UNCHANGED
    )
    return ScalingDecision(
        pool_id=state.pool_id,
        slot=inputs.slot,
        at=inputs.now,
        mode=policy.mode,
        replicas=observation.replicas,
        proposed=recommendation.proposed,
        desired=recommendation.desired,
        outcome=outcome,
        reason=recommendation.reason,
        limited_by=recommendation.limited_by,
        inputs={kind: asdict(reading) for kind, reading in observation.readings.items()},
        signal_results=[asdict(each) for each in recommendation.signal_results],
        note=error[:300],
    )


def is_applied(policy: ScalingPolicy) -> bool:
    """Return whether we apply decisions; with an HPA Kubernetes does, and ours are informative."""
    return policy.mode == Mode.APPLY and policy.actuator not in {
        ActuatorKind.NONE,
        ActuatorKind.HPA,
    }


def change_of(
    policy: ScalingPolicy,
    decision: ScalingDecision | None,
    pool_observation: PoolObservation,
    facts: PoolFacts,
    inputs: Inputs,
) -> Change | None:
    if decision is None or decision.outcome != Outcome.PENDING:
        return None
    return Change(
        policy=policy,
        pool=facts.name,
        slot=inputs.slot,
        at=inputs.now,
        slot_at=inputs.slot_at,
        before=decision.replicas,
        after=decision.desired,
        reason=decision.reason,
        least_loaded=pool_observation.least_loaded,
    )


def history_of(state: ScalingState) -> ScalingHistory:
    stored = state.history
    return ScalingHistory(
        proposals=tuple((at, count) for at, count in stored.get("proposals", ())),
        changes=tuple((at, by) for at, by in stored.get("changes", ())),
    )


def write_state(
    state: ScalingState,
    pool_observation: PoolObservation,
    history: ScalingHistory,
    inputs: Inputs,
    *,
    recommendation: Recommendation | None = None,
    rules: Rules | None = None,
) -> None:
    """Set the fields of the row; `decide_pools` stores all rows at once."""
    observation = pool_observation.observation
    state.slot = inputs.slot
    state.history = {**asdict(history), "counted": asdict(pool_observation.counted)}
    state.status = {
        "at": inputs.now.timestamp(),
        "replicas": observation.replicas,
        "states": dict(pool_observation.states),
        "idlest": list(pool_observation.least_loaded),
        "signals": {kind: each.value for kind, each in observation.readings.items()}
        | {"demand": float(observation.is_wanted)},
        "notes": {
            kind: each.note for kind, each in observation.readings.items() if each.value is None
        },
        "trouble": inputs.errors.get(state.pool_id, ""),
    }
    if recommendation and rules:
        state.status |= {
            "desired": recommendation.desired,
            "proposed": recommendation.proposed,
            "reason": recommendation.reason,
            "limited_by": recommendation.limited_by,
            "min_replicas": rules.bounds.min_replicas,
            "max_replicas": rules.bounds.max_replicas,
            "schedule": rules.bounds.schedule,
        }


def sample_of(
    pool_observation: PoolObservation,
    pool_id: int,
    inputs: Inputs,
    *,
    recommendation: Recommendation | None = None,
    rules: Rules | None = None,
) -> PoolSample:
    readings = pool_observation.observation.readings
    values = {kind: readings[kind].value if kind in readings else None for kind in MEASURES}
    return PoolSample(
        pool_id=pool_id,
        at=inputs.slot_at,
        replicas=pool_observation.observation.replicas,
        ready=pool_observation.observation.ready,
        desired=recommendation.desired if recommendation else None,
        min_replicas=rules.bounds.min_replicas if rules else None,
        max_replicas=rules.bounds.max_replicas if rules else None,
        **values,
    )
