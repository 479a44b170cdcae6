"""Draft policies, and their rehearsal on a recorded or synthetic load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from inference.errors import PolicyRefused
from inference.models import ModelPool, ScalingPolicy
from inference.scaling.decision.schedules import Hours
from inference.scaling.decision.types import Rules
from inference.scaling.policies.mapping import Signal, rules_of, stored_hours, stored_signals
from inference.scaling.policies.presets import DEFAULT, PRESETS, signals_for
from inference.scaling.rehearsal.estimation import CapacityEstimate, estimate_capacity, moments_from
from inference.scaling.rehearsal.history import read_samples, slots_of
from inference.scaling.rehearsal.load_profiles import LOAD_PROFILES, moments_of
from inference.scaling.rehearsal.simulation import Moment, Rehearsal, oracle_hours, rehearse

STORED = "stored"
SPANS = {"day": timedelta(days=1), "three_days": timedelta(days=3), "week": timedelta(days=7)}
ESTIMATION_SPAN = timedelta(days=7)
SCHEDULES_CHANGE_SECONDS = 300.0
"""Interval at which a rehearsal applies schedules, whose times are mostly multiples of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """A policy, stored or not, with its signals and schedules."""

    policy: ScalingPolicy
    signals: Sequence[Signal]
    schedules: Sequence[Hours] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalLoad:
    """The load of a rehearsal, and the estimated capacity of a replica."""

    moments: Sequence[Moment]
    estimate: CapacityEstimate

    @property
    def oracle_hours(self) -> float:
        return oracle_hours(self.moments, capacity=self.estimate.capacity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Values that replace those of the basis; None: no change."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    down_window: int | None = None
    idle_seconds: int | None = None
    targets_percent: float = 100.0
    """Percentage by which targets and thresholds are multiplied."""


def draft_of(pool: ModelPool, *, basis: str, edits: Edits, now: datetime) -> PolicyDraft:
    """Return the stored policy (`stored`) or a preset, with edits. Raises PolicyRefused."""
    found = stored_draft(pool) if basis == STORED else None
    found = found or preset_draft(pool, name=basis if basis in PRESETS else DEFAULT)
    for name in ("min_replicas", "max_replicas", "down_window", "idle_seconds"):
        value = getattr(edits, name)
        if value is not None:
            setattr(found.policy, name, value)
    signals = tuple(scaled(each, edits.targets_percent / 100) for each in found.signals)
    if found.policy.min_replicas > found.policy.max_replicas:
        raise PolicyRefused("min_replicas is more than max_replicas.")
    return replace(found, signals=signals)


def stored_draft(pool: ModelPool) -> PolicyDraft | None:
    rows = ScalingPolicy.objects.filter(pool=pool).prefetch_related("signals", "schedules")
    policy = rows.first()
    if policy is None:
        return None
    return PolicyDraft(
        policy=policy, signals=stored_signals(policy), schedules=stored_hours(policy)
    )


def preset_draft(pool: ModelPool, *, name: str) -> PolicyDraft:
    preset = PRESETS[name]
    slots = slots_of(pool)
    costs = ScalingPolicy.objects.filter(pool=pool).values_list("replica_cost", flat=True)
    cost = costs.first() or 0.0
    return PolicyDraft(
        policy=ScalingPolicy(pool=pool, max_replicas=100, replica_cost=cost, **preset.settings),
        signals=tuple(Signal(**each) for each in signals_for(preset, slots=slots)),
    )


def scaled(signal: Signal, factor: float) -> Signal:
    def times(value: float | None) -> float | None:
        return None if value is None else value * factor

    return replace(
        signal, target=times(signal.target), up=times(signal.up), down=times(signal.down)
    )


def recorded_load(pool: ModelPool, *, span: str, now: datetime) -> RehearsalLoad:
    """Return the recorded load of a span of SPANS until now. Raises PolicyRefused for another."""
    if span not in SPANS:
        raise PolicyRefused(
            f"{span!r} is not a span. Choose one of {', '.join(SPANS)}.", param="load"
        )
    samples = read_samples(pool=pool, since=now - SPANS[span], until=now)
    return RehearsalLoad(
        moments=moments_from(samples), estimate=estimate_capacity(samples, slots=slots_of(pool))
    )


def synthetic_load(
    pool: ModelPool, *, profile: str, base_request_rate: float | None, now: datetime
) -> RehearsalLoad:
    """Return a load of LOAD_PROFILES. `base_request_rate` None: the capacity of two replicas.

    The capacity of a replica is estimated from the last week. Raises PolicyRefused for an unknown
    profile.
    """
    if profile not in LOAD_PROFILES:
        raise PolicyRefused(
            f"{profile!r} is not a load profile. Choose one of {', '.join(LOAD_PROFILES)}.",
            param="load",
        )
    samples = read_samples(pool=pool, since=now - ESTIMATION_SPAN, until=now)
    estimate = estimate_capacity(samples, slots=slots_of(pool))
    rate = base_request_rate or 2 * estimate.capacity.requests_per_second
    moments = moments_of(LOAD_PROFILES[profile], base_request_rate=rate, begins=now.timestamp())
    return RehearsalLoad(moments=moments, estimate=estimate)


def find_load(
    pool: ModelPool, *, name: str, base_request_rate: float | None, now: datetime
) -> RehearsalLoad:
    """Return the load named in SPANS or LOAD_PROFILES. Raises PolicyRefused for another name."""
    if name in SPANS:
        return recorded_load(pool, span=name, now=now)
    return synthetic_load(pool, profile=name, base_request_rate=base_request_rate, now=now)


def rehearse_draft(draft: PolicyDraft, load: RehearsalLoad) -> Rehearsal:
    """Rehearse the draft on the load."""
    policy, first = draft.policy, load.moments[0].arrivals if load.moments else 0.0
    enough = -int(-first // load.estimate.capacity.requests_per_second)
    begins = min(max(enough, policy.min_replicas), policy.max_replicas)
    recorded = load.moments[0].replicas if load.moments else None
    return rehearse(
        rules_by_time(draft),
        load.moments,
        capacity=load.estimate.capacity,
        replica_cost=policy.replica_cost,
        initial_replicas=begins if recorded is None else None,
    )


def rules_by_time(draft: PolicyDraft) -> Callable[[float], Rules]:
    """Return the rules as a function of time, built once per SCHEDULES_CHANGE_SECONDS."""
    made: dict[int, Rules] = {}
    usual = rules_at(draft, 0.0) if not draft.schedules else None

    def at(moment: float) -> Rules:
        if usual is not None:
            return usual
        part = int(moment // SCHEDULES_CHANGE_SECONDS)
        if part not in made:
            made[part] = rules_at(draft, part * SCHEDULES_CHANGE_SECONDS)
        return made[part]

    return at


def rules_at(draft: PolicyDraft, moment: float) -> Rules:
    return rules_of(
        draft.policy,
        signals=draft.signals,
        schedules=draft.schedules,
        moment=datetime.fromtimestamp(moment, tz=UTC),
    )
