"""Looking at every pool once in each quarter of a minute, and deciding.

Whoever moves a pool's state to the present slot has the pool: a second evaluator finds the rows
locked, and later taken. Nothing is asked of an actuator while rows are locked.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from inference.models import ModelPool, PoolSample, ScalingDecision, ScalingPolicy, ScalingState
from inference.models.scaling_policy import Actuator, Mode
from inference.models.scaling_record import SLOT_SECONDS
from inference.scaling.actuation import Change, carry_out, is_sampled, read_replicas
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
    look_at,
    read_live,
    with_queries,
)
from inference.scaling.signals.prometheus import ask_prometheus
from inference.signal_kinds import MEASURES

log = logging.getLogger(__name__)

Outcome = ScalingDecision.Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was read before any row is locked."""

    now: datetime
    pools: Sequence[PoolFacts]
    policies: Mapping[int, ScalingPolicy]
    """By pool."""
    live: Any = None
    replicas: Mapping[int, int] = field(default_factory=dict)
    """As actuators have it, by pool."""
    troubles: Mapping[int, str] = field(default_factory=dict)
    """Why an actuator could not be asked, by pool."""
    answers: Mapping[int, Mapping[str, Reading]] = field(default_factory=dict)
    """Of Prometheus, by pool."""

    @property
    def slot(self) -> int:
        return slot_of(self.now)

    @property
    def slot_at(self) -> datetime:
        """When the slot began."""
        return datetime.fromtimestamp(self.slot * SLOT_SECONDS, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One pool's part of an evaluation."""

    state: ScalingState
    sample: PoolSample
    decision: ScalingDecision | None = None
    change: Change | None = None


def evaluate_pools(*, now: datetime) -> int:
    """Look at all pools that nobody looked at in this slot. Returns how many that were.

    Safe to run any number of times, and at once. Costs one query if there is nothing to look at.
    """
    if not ScalingState.objects.is_anything_due(slot=slot_of(now)):
        return 0
    findings = find_out(now=now)
    results = decide_all(findings)
    carry_out([each.change for each in results if each.change])
    return len(results)


def slot_of(now: datetime) -> int:
    return int(now.timestamp()) // SLOT_SECONDS


def find_out(*, now: datetime) -> Inputs:
    pools = collect_pools()
    policies = {policy.pool_id: policy for policy in active_policies()}
    replicas, troubles = read_replicas(policies)
    return Inputs(
        now=now,
        pools=pools,
        policies=policies,
        live=read_live(),
        replicas=replicas,
        troubles=troubles,
        answers=ask_prometheus({pool: stored_signals(policy) for pool, policy in policies.items()}),
    )


def active_policies() -> list[ScalingPolicy]:
    rows = ScalingPolicy.objects.exclude(mode=Mode.OFF).select_related("pool")
    return list(rows.prefetch_related("signals", "schedules"))


@transaction.atomic
def decide_all(findings: Inputs) -> list[Result]:
    """One transaction: either a pool's slot is taken and all of it is written down, or nothing."""
    make_states(findings.pools)
    facts = {each.pool_id: each for each in findings.pools}
    free = ScalingState.objects.free(slot=findings.slot).filter(pool_id__in=facts)
    results = [decide(facts[state.pool_id], state, findings) for state in free]
    ScalingState.objects.bulk_update(
        [each.state for each in results], ["slot", "memory", "shown"], batch_size=200
    )
    PoolSample.objects.bulk_create(
        [each.sample for each in results], ignore_conflicts=True, batch_size=500
    )
    # A clock that was put back comes by the same slots again.
    decisions = [each.decision for each in results if each.decision]
    ScalingDecision.objects.bulk_create(decisions, ignore_conflicts=True, batch_size=500)
    return results


def make_states(pools: Sequence[PoolFacts]) -> None:
    known = set(ScalingState.objects.values_list("pool_id", flat=True))
    new = {each.pool_id for each in pools} - known
    # A pool may have been deleted a moment ago.
    alive = ModelPool.objects.filter(pk__in=new).values_list("pk", flat=True) if new else ()
    states = [ScalingState(pool_id=pk) for pk in alive]
    ScalingState.objects.bulk_create(states, ignore_conflicts=True)


def decide(facts: PoolFacts, state: ScalingState, findings: Inputs) -> Result:
    """What one pool needs. Its state is locked."""
    look = with_queries(
        look_at(
            facts,
            live=findings.live,
            before=Counted(**state.memory.get("counted", {})),
            now=findings.now.timestamp(),
            slot_at=findings.slot_at.timestamp(),
            replicas=findings.replicas.get(facts.pool_id),
        ),
        findings.answers.get(facts.pool_id, {}),
    )
    policy = findings.policies.get(facts.pool_id)
    memory = memory_of(state)
    trouble = findings.troubles.get(facts.pool_id, "")
    if policy is None:
        write_state(state, look, memory, findings)
        return Result(state=state, sample=sample_of(look, state.pool_id, findings))
    rules = rules_of(
        policy,
        signals=stored_signals(policy),
        schedules=stored_hours(policy),
        moment=findings.now,
    )
    found = algorithm.decide(rules, look.seen, memory)
    verdict = apply_overrides(found, policy, look.seen, now=findings.now, trouble=trouble)
    decision = decision_of(policy, verdict, look, state, findings, trouble=trouble)
    write_state(state, look, verdict.memory, findings, verdict=verdict, rules=rules)
    sample = sample_of(look, state.pool_id, findings, verdict=verdict, rules=rules)
    change = change_of(policy, decision, look, facts, findings)
    return Result(state=state, sample=sample, decision=decision, change=change)


def apply_overrides(
    found: Recommendation,
    policy: ScalingPolicy,
    seen: Observation,
    *,
    now: datetime,
    trouble: str = "",
) -> Recommendation:
    """As the policy says, unless people say otherwise, or there is no one to carry it out. Pure."""
    if trouble:
        return kept(found, seen, f"{trouble} So nothing is changed.", held_by="actuator")
    if policy.paused:
        return kept(found, seen, "Paused: somebody resumes it on the policy's page.")
    if is_overridden(policy, now=now):
        wanted, until = policy.override_replicas or 0, policy.override_until
        assert until is not None
        reason = f"Set by hand to {formatting.replicas(wanted)} until {until:%Y-%m-%d %H:%M} UTC."
        return replaced(found, wanted, reason, held_by="override")
    return found


def kept(
    found: Recommendation, seen: Observation, reason: str, *, held_by: str = "paused"
) -> Recommendation:
    return replaced(found, seen.replicas, reason, held_by=held_by)


def replaced(found: Recommendation, desired: int, reason: str, *, held_by: str) -> Recommendation:
    """The same, decided by people; what the signals said stays to be read."""
    return Recommendation(
        proposed=found.proposed,
        desired=desired,
        reason=f"{reason} The policy would say: {found.reason}",
        held_by=held_by,
        formulas=found.formulas,
        memory=found.memory,
    )


def decision_of(
    policy: ScalingPolicy,
    verdict: Recommendation,
    look: PoolObservation,
    state: ScalingState,
    findings: Inputs,
    *,
    trouble: str,
) -> ScalingDecision | None:
    """What is written down; None for one of many that change nothing."""
    seen = look.seen
    moves = verdict.desired != seen.replicas
    carries_out = moves and is_carried_out(policy)
    is_news = carries_out or verdict.desired != state.shown.get("desired", seen.replicas)
    is_news = is_news or bool(trouble) != bool(state.shown.get("trouble"))
    if not is_news and not is_sampled(slot=findings.slot, pool_id=state.pool_id):
        return None
    outcome = Outcome.PENDING if carries_out else Outcome.RECOMMENDED if moves else Outcome.KEPT
    return ScalingDecision(
        pool_id=state.pool_id,
        slot=findings.slot,
        at=findings.now,
        mode=policy.mode,
        replicas=seen.replicas,
        proposed=verdict.proposed,
        desired=verdict.desired,
        outcome=outcome,
        reason=verdict.reason,
        held_by=verdict.held_by,
        inputs={kind: asdict(reading) for kind, reading in seen.readings.items()},
        formulas=[asdict(each) for each in verdict.formulas],
        note=trouble[:300],
    )


def is_carried_out(policy: ScalingPolicy) -> bool:
    """Kubernetes' own autoscaler goes by itself; ours only tells what it would do."""
    return policy.mode == Mode.APPLY and policy.actuator not in {Actuator.NONE, Actuator.HPA}


def change_of(
    policy: ScalingPolicy,
    decision: ScalingDecision | None,
    look: PoolObservation,
    facts: PoolFacts,
    findings: Inputs,
) -> Change | None:
    if decision is None or decision.outcome != Outcome.PENDING:
        return None
    return Change(
        policy=policy,
        pool=facts.name,
        slot=findings.slot,
        at=findings.now,
        slot_at=findings.slot_at,
        before=decision.replicas,
        after=decision.desired,
        reason=decision.reason,
        idlest=look.idlest,
    )


def memory_of(state: ScalingState) -> ScalingHistory:
    stored = state.memory
    return ScalingHistory(
        proposals=tuple((at, count) for at, count in stored.get("proposals", ())),
        changes=tuple((at, by) for at, by in stored.get("changes", ())),
    )


def write_state(
    state: ScalingState,
    look: PoolObservation,
    memory: ScalingHistory,
    findings: Inputs,
    *,
    verdict: Recommendation | None = None,
    rules: Rules | None = None,
) -> None:
    """Into the row, which is stored with all others."""
    seen = look.seen
    state.slot = findings.slot
    state.memory = {**asdict(memory), "counted": asdict(look.counted)}
    state.shown = {
        "at": findings.now.timestamp(),
        "replicas": seen.replicas,
        "states": dict(look.states),
        "idlest": list(look.idlest),
        "signals": {kind: each.value for kind, each in seen.readings.items()}
        | {"demand": float(seen.is_wanted)},
        "notes": {kind: each.note for kind, each in seen.readings.items() if each.value is None},
        "trouble": findings.troubles.get(state.pool_id, ""),
    }
    if verdict and rules:
        state.shown |= {
            "desired": verdict.desired,
            "proposed": verdict.proposed,
            "reason": verdict.reason,
            "held_by": verdict.held_by,
            "least": rules.bounds.least,
            "most": rules.bounds.most,
            "schedule": rules.bounds.schedule,
        }


def sample_of(
    look: PoolObservation,
    pool_id: int,
    findings: Inputs,
    *,
    verdict: Recommendation | None = None,
    rules: Rules | None = None,
) -> PoolSample:
    readings = look.seen.readings
    values = {kind: readings[kind].value if kind in readings else None for kind in MEASURES}
    return PoolSample(
        pool_id=pool_id,
        at=findings.slot_at,
        replicas=look.seen.replicas,
        ready=look.seen.ready,
        desired=verdict.desired if verdict else None,
        least=rules.bounds.least if rules else None,
        most=rules.bounds.most if rules else None,
        **values,
    )
