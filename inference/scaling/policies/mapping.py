"""Maps the rows of a policy to the values of a decision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from inference.models import ScalingPolicy, ScalingSchedule
from inference.scaling.decision.schedules import Hours, bounds_at
from inference.scaling.decision.types import (
    Algorithm,
    Behavior,
    Bounds,
    Limit,
    Rules,
    Select,
    SignalTarget,
)

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal of a policy, stored or not."""

    kind: str
    target: float | None = None
    up: float | None = None
    down: float | None = None
    query: str = ""

    def as_target(self) -> SignalTarget:
        return SignalTarget(
            kind=self.kind, target=self.target or 0, up=self.up or 0, down=self.down or 0
        )


def stored_signals(policy: ScalingPolicy) -> tuple[Signal, ...]:
    """Return the stored signals; empty for a policy that is not stored yet."""
    rows = policy.signals.all() if policy.pk else ()
    return tuple(
        Signal(kind=row.kind, target=row.target, up=row.up, down=row.down, query=row.query)
        for row in rows
    )


def stored_hours(policy: ScalingPolicy) -> tuple[Hours, ...]:
    rows: Iterable[ScalingSchedule] = policy.schedules.all() if policy.pk else ()
    return tuple(hours_of(row) for row in rows)


def hours_of(row: ScalingSchedule) -> Hours:
    return Hours(
        name=row.name,
        zone=row.zone,
        weekdays=frozenset(row.weekdays),
        starts=row.starts,
        ends=row.ends,
        min_replicas=row.min_replicas,
        max_replicas=row.max_replicas,
        first_day=row.first_day,
        last_day=row.last_day,
    )


def rules_of(
    policy: ScalingPolicy,
    *,
    signals: Sequence[Signal],
    schedules: Sequence[Hours],
    moment: datetime,
) -> Rules:
    """Return the policy's rules at one moment. The policy need not be stored."""
    own = Bounds(min_replicas=policy.min_replicas, max_replicas=policy.max_replicas)
    return Rules(
        algorithm=cast("Algorithm", policy.algorithm),
        targets=tuple(signal.as_target() for signal in signals),
        tolerance=policy.tolerance,
        step=policy.step_replicas,
        up=direction_of(policy, "up"),
        down=direction_of(policy, "down"),
        bounds=bounds_at(moment, schedules, otherwise=own),
        idle_seconds=policy.idle_seconds,
    )


def direction_of(policy: ScalingPolicy, way: Direction) -> Behavior:
    """Return the behavior of one direction."""
    facts = {
        name: getattr(policy, f"{way}_{name}")
        for name in ("window", "select", "cooldown", "percent", "percent_seconds")
    }
    limits = []
    if facts["percent"] is not None:
        seconds = facts["percent_seconds"]
        limits.append(Limit(kind="percent", value=facts["percent"], seconds=seconds))
    count = getattr(policy, f"{way}_replicas")
    if count is not None:
        seconds = getattr(policy, f"{way}_replicas_seconds")
        limits.append(Limit(kind="replicas", value=count, seconds=seconds))
    return Behavior(
        window=facts["window"],
        limits=tuple(limits),
        select=cast("Select", facts["select"]),
        cooldown=facts["cooldown"],
    )
