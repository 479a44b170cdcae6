"""A policy, what was seen, and what was decided, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EPSILON = 1e-9
"""A number that a float makes a hair larger than it is must not cost a replica."""

Algorithm = Literal["target_tracking", "thresholds", "step"]
Select = Literal["max", "min", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One signal of a policy."""

    kind: str
    """A name of `MEASURES`."""
    target: float = 0.0
    """For target tracking: what each replica should have."""
    up: float = 0.0
    """For the others: above it the pool grows."""
    down: float = 0.0
    """Below it the pool shrinks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may change in a period: so many replicas, or per cent of them."""

    kind: Literal["replicas", "percent"]
    value: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """The behavior of growing, or of shrinking (as in Kubernetes' HPA)."""

    window: float = 0.0
    """Seconds over which the most cautious proposal counts."""
    limits: tuple[Limit, ...] = ()
    """None: at once."""
    select: Select = "max"
    """Which of several limits counts: the one that allows most, or least; or no change at all."""
    cooldown: float = 0.0
    """Seconds of rest after any change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between how many replicas, and who says so."""

    least: int
    most: int
    schedule: str = ""
    """The name of the schedule; empty for the policy's own."""

    def clamp(self, replicas: int) -> int:
        return max(self.least, min(self.most, replicas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A policy at one moment."""

    algorithm: Algorithm = "target_tracking"
    targets: tuple[Target, ...] = ()
    tolerance: float = 0.1
    step: int = 1
    """Replicas that thresholds add or take away."""
    up: Behavior = Behavior(
        limits=(
            Limit(kind="percent", value=100, seconds=15),
            Limit(kind="replicas", value=4, seconds=15),
        )
    )
    down: Behavior = Behavior(window=300, limits=(Limit(kind="percent", value=100, seconds=15),))
    bounds: Bounds
    idle_seconds: float | None = None
    """Without a request for so long, the pool goes to zero. None: never."""

    @property
    def rests_at_zero(self) -> bool:
        """A schedule's minimum keeps the pool awake."""
        return self.idle_seconds is not None and not (self.bounds.schedule and self.bounds.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one signal says."""

    value: float | None
    """Of the whole pool, or a mean of those that tell, by its measure. None: it tells nothing."""
    telling: int = 0
    """Replicas of which a mean is made."""
    is_least: bool = False
    """Some replicas did not tell: the whole is at least this, so it lets nothing go."""
    note: str = ""
    """Why it tells nothing."""


NOTHING = Reading(value=None, note="nothing is known of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A pool at one moment."""

    now: float
    """When this look's slot began, in seconds since 1970. Windows and periods count slots: a look
    that comes a little late in one of them makes none of them longer.
    """
    replicas: int
    """How many there are, those that still start included."""
    ready: int
    readings: Mapping[str, Reading] = field(default_factory=dict)
    idle_since: float | None = None
    """When the last request was there. None: there are some, or that is not known."""
    is_wanted: bool = False
    """Somebody asked lately though there was no replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingHistory:
    """What earlier evaluations left behind. Times are in seconds since 1970."""

    proposals: tuple[tuple[float, int], ...] = ()
    """When how many replicas were proposed; of equal ones in a row the last."""
    changes: tuple[tuple[float, int], ...] = ()
    """When how many replicas were added, or taken away (below 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalResult:
    """What one signal comes to."""

    kind: str
    value: float | None
    wanted: float
    """The target, or the threshold that was crossed."""
    replicas: int | None
    """None: it says nothing."""
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an algorithm wants, before windows, limits and bounds."""

    replicas: int
    reason: str
    formulas: tuple[SignalResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """How many replicas there should be, and why."""

    proposed: int
    desired: int
    reason: str
    """A sentence or a few, for people."""
    held_by: str = ""
    """What kept the proposal from being followed: `window`, `limit`, `cooldown`, `disabled`,
    `bounds`; empty if it was.
    """
    formulas: tuple[SignalResult, ...] = ()
    memory: ScalingHistory = ScalingHistory()
