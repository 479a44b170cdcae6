"""A policy's rows as the values that decisions are made from."""

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
    Target,
)

Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal as somebody wants it."""

    kind: str
    target: float | None = None
    up: float | None = None
    down: float | None = None
    query: str = ""

    def as_target(self) -> Target:
        return Target(kind=self.kind, target=self.target or 0, up=self.up or 0, down=self.down or 0)


def stored_signals(policy: ScalingPolicy) -> tuple[Signal, ...]:
    """None for a policy that is not stored yet."""
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
        least=row.min_replicas,
        most=row.max_replicas,
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
    """The policy at one moment. It need not be stored."""
    own = Bounds(least=policy.min_replicas, most=policy.max_replicas)
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


def direction_of(policy: ScalingPolicy, way: Way) -> Behavior:
    """How fast the policy lets a pool grow, or shrink."""
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
