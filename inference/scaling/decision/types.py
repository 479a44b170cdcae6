"""The values of a decision: rules, observation, history and recommendation. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EPSILON = 1e-9
"""Tolerance for rounding errors, which must not add a replica."""

Algorithm = Literal["target_tracking", "thresholds", "step"]
Select = Literal["max", "min", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalTarget:
    """One signal of a policy."""

    kind: str
    """A key of `MEASURES`."""
    target: float = 0.0
    """For target tracking: the value per replica."""
    up: float = 0.0
    """For the other algorithms: scale out above this value."""
    down: float = 0.0
    """For the other algorithms: scale in below this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The maximum change in a period, in replicas or per cent."""

    kind: Literal["replicas", "percent"]
    value: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """The behavior of one direction (as in Kubernetes' HPA)."""

    window: float = 0.0
    """Stabilization window in seconds."""
    limits: tuple[Limit, ...] = ()
    """Without limits the change is applied at once."""
    select: Select = "max"
    """The limit that applies: the one with the largest or smallest change, or no change."""
    cooldown: float = 0.0
    """Seconds without a change after any change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The minimum and maximum of replicas, and their source."""

    min_replicas: int
    max_replicas: int
    schedule: str = ""
    """Name of the active schedule; empty for the bounds of the policy."""

    def clamp(self, replicas: int) -> int:
        return max(self.min_replicas, min(self.max_replicas, replicas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A policy at one moment."""

    algorithm: Algorithm = "target_tracking"
    targets: tuple[SignalTarget, ...] = ()
    tolerance: float = 0.1
    step: int = 1
    """Replicas that a threshold adds or removes."""
    up: Behavior = Behavior(
        limits=(
            Limit(kind="percent", value=100, seconds=15),
            Limit(kind="replicas", value=4, seconds=15),
        )
    )
    down: Behavior = Behavior(window=300, limits=(Limit(kind="percent", value=100, seconds=15),))
    bounds: Bounds
    idle_seconds: float | None = None
    """Seconds without a request after which the pool scales to zero. None: never."""

    @property
    def scales_to_zero(self) -> bool:
        """Whether it may scale to zero; not while a schedule with a minimum is active."""
        return self.idle_seconds is not None and not (
            self.bounds.schedule and self.bounds.min_replicas
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The measured value of one signal."""

    value: float | None
    """The sum of the pool, or the mean of the reporting replicas. None: not known."""
    reporting: int = 0
    """Number of replicas that reported."""
    is_lower_bound: bool = False
    """Some replicas did not report: the sum may be higher, so it does not scale in."""
    note: str = ""
    """Why the value is not known."""


UNKNOWN_READING = Reading(value=None, note="not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A pool at one moment."""

    now: float
    """Start of the slot, in seconds since 1970. Windows and periods count slots, so that a late
    evaluation makes none of them longer.
    """
    replicas: int
    """Number of replicas, including those that are starting."""
    ready: int
    readings: Mapping[str, Reading] = field(default_factory=dict)
    idle_since: float | None = None
    """Start of the time without requests. None: requests are running, or it is not known."""
    is_wanted: bool = False
    """Whether a request arrived recently while there was no replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingHistory:
    """Proposals and changes of earlier evaluations. Times are in seconds since 1970."""

    proposals: tuple[tuple[float, int], ...] = ()
    """Times and proposed replicas; of equal proposals in a row the last."""
    changes: tuple[tuple[float, int], ...] = ()
    """Times and changes of replicas; removed replicas are negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalResult:
    """The result of one signal."""

    kind: str
    value: float | None
    target: float
    """The target, or the threshold that was compared."""
    replicas: int | None
    """Proposed replicas; None if the value is not known."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The proposal of an algorithm, before windows, limits and bounds."""

    replicas: int
    reason: str
    signal_results: tuple[SignalResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The recommended number of replicas, with the reason."""

    proposed: int
    desired: int
    reason: str
    """Sentences for operators."""
    limited_by: str = ""
    """The constraint that changed the proposal: `window`, `limit`, `cooldown`, `disabled`,
    `bounds`; empty if none did.
    """
    signal_results: tuple[SignalResult, ...] = ()
    history: ScalingHistory = ScalingHistory()
