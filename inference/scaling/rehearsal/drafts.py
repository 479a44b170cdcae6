"""Policies that are only tried out, and their rehearsal over the load of a pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from inference.errors import PolicyRefused
from inference.models import ModelPool, ScalingPolicy
from inference.scaling.decision.schedules import Hours
from inference.scaling.decision.types import Rules
from inference.scaling.policies.mapping import Signal, rules_of, stored_hours, stored_signals
from inference.scaling.policies.presets import DEFAULT, PRESETS, signals_for
from inference.scaling.rehearsal.estimation import Learned, learn, moments_from
from inference.scaling.rehearsal.history import read_samples, slots_of
from inference.scaling.rehearsal.load_profiles import SHAPES, moments_of
from inference.scaling.rehearsal.simulation import Moment, Rehearsal, oracle_hours, rehearse

STORED = "stored"
SPANS = {"day": timedelta(days=1), "three": timedelta(days=3), "week": timedelta(days=7)}
LEARNED_FROM = timedelta(days=7)
SCHEDULES_CHANGE_SECONDS = 300.0
"""How finely a rehearsal follows schedules: their times are mostly whole five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A policy that may not be stored."""

    policy: ScalingPolicy
    signals: Sequence[Signal]
    schedules: Sequence[Hours] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What drafts are tried out on."""

    moments: Sequence[Moment]
    learned: Learned

    @property
    def oracle_hours(self) -> float:
        return oracle_hours(self.moments, capacity=self.learned.capacity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What is different from the draft's basis; None: nothing."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    down_window: int | None = None
    idle_seconds: int | None = None
    targets_percent: float = 100.0
    """How much of each target, or threshold."""


def draft_of(pool: ModelPool, *, basis: str, edits: Edits, now: datetime) -> Draft:
    """The stored policy (`stored`) or a preset, with edits. Raises PolicyRefused."""
    found = stored_draft(pool) if basis == STORED else None
    found = found or preset_draft(pool, name=basis if basis in PRESETS else DEFAULT)
    for name in ("min_replicas", "max_replicas", "down_window", "idle_seconds"):
        value = getattr(edits, name)
        if value is not None:
            setattr(found.policy, name, value)
    signals = tuple(scaled(each, edits.targets_percent / 100) for each in found.signals)
    if found.policy.min_replicas > found.policy.max_replicas:
        raise PolicyRefused("The least replicas are more than the most.")
    return replace(found, signals=signals)


def stored_draft(pool: ModelPool) -> Draft | None:
    rows = ScalingPolicy.objects.filter(pool=pool).prefetch_related("signals", "schedules")
    policy = rows.first()
    if policy is None:
        return None
    return Draft(policy=policy, signals=stored_signals(policy), schedules=stored_hours(policy))


def preset_draft(pool: ModelPool, *, name: str) -> Draft:
    preset = PRESETS[name]
    slots = slots_of(pool)
    costs = ScalingPolicy.objects.filter(pool=pool).values_list("replica_cost", flat=True)
    cost = costs.first() or 0.0
    return Draft(
        policy=ScalingPolicy(pool=pool, max_replicas=100, replica_cost=cost, **preset.settings),
        signals=tuple(Signal(**each) for each in signals_for(preset, slots=slots)),
    )


def scaled(signal: Signal, factor: float) -> Signal:
    def times(value: float | None) -> float | None:
        return None if value is None else value * factor

    return replace(
        signal, target=times(signal.target), up=times(signal.up), down=times(signal.down)
    )


def recorded_load(pool: ModelPool, *, span: str, now: datetime) -> Load:
    """What really came in a span of SPANS until now. Raises PolicyRefused if that is not one."""
    if span not in SPANS:
        raise PolicyRefused(f"{span!r} is no span. There are: {', '.join(SPANS)}.", param="load")
    samples = read_samples(pool=pool, since=now - SPANS[span], until=now)
    return Load(moments=moments_from(samples), learned=learn(samples, slots=slots_of(pool)))


def imagined_load(pool: ModelPool, *, shape: str, ordinary: float | None, now: datetime) -> Load:
    """A shape of SHAPES around an ordinary load in requests a second; None: what two replicas take.

    What a replica can do is learned from the last week. Raises PolicyRefused for another shape.
    """
    if shape not in SHAPES:
        raise PolicyRefused(f"{shape!r} is no shape. There are: {', '.join(SHAPES)}.", param="load")
    samples = read_samples(pool=pool, since=now - LEARNED_FROM, until=now)
    learned = learn(samples, slots=slots_of(pool))
    usual = ordinary or 2 * learned.capacity.requests_per_second
    moments = moments_of(SHAPES[shape], ordinary=usual, begins=now.timestamp())
    return Load(moments=moments, learned=learned)


def find_load(pool: ModelPool, *, name: str, ordinary: float | None, now: datetime) -> Load:
    """A span or a shape. Raises PolicyRefused for what is neither."""
    if name in SPANS:
        return recorded_load(pool, span=name, now=now)
    return imagined_load(pool, shape=name, ordinary=ordinary, now=now)


def try_out(draft: Draft, load: Load) -> Rehearsal:
    """What the draft would have done."""
    policy, first = draft.policy, load.moments[0].arrivals if load.moments else 0.0
    enough = -int(-first // load.learned.capacity.requests_per_second)
    begins = min(max(enough, policy.min_replicas), policy.max_replicas)
    recorded = load.moments[0].replicas if load.moments else None
    return rehearse(
        rules_by_time(draft),
        load.moments,
        capacity=load.learned.capacity,
        replica_cost=policy.replica_cost,
        begins_with=begins if recorded is None else None,
    )


def rules_by_time(draft: Draft) -> Callable[[float], Rules]:
    """The rules at each moment, made anew only as often as schedules may change them."""
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


def rules_at(draft: Draft, moment: float) -> Rules:
    return rules_of(
        draft.policy,
        signals=draft.signals,
        schedules=draft.schedules,
        moment=datetime.fromtimestamp(moment, tz=UTC),
    )
