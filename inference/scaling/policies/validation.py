"""What a policy must be to work, each refusal a sentence about the first thing to mend."""

from collections.abc import Sequence
from datetime import date

from django.conf import settings

from inference.errors import PolicyRefused
from inference.models import ScalingPolicy
from inference.models.scaling_policy import MAX_REPLICAS, Actuator, Algorithm, Mode
from inference.scaling.decision.schedules import WEEKDAYS, Hours, first_overlap
from inference.scaling.policies.mapping import Signal
from inference.signal_kinds import MEASURES
from kernel.time_zones import is_time_zone


def validate_policy(
    *,
    policy: ScalingPolicy,
    signals: Sequence[Signal],
    schedules: Sequence[Hours],
    today: date,
) -> None:
    """Raises PolicyRefused."""
    if policy.min_replicas > policy.max_replicas:
        raise PolicyRefused(
            f"The least replicas ({policy.min_replicas}) are more than the most "
            f"({policy.max_replicas}).",
            param="min_replicas",
        )
    if policy.mode == Mode.APPLY and policy.actuator == Actuator.NONE:
        raise PolicyRefused(
            "Nothing here can start or stop replicas: choose an actuator, or the mode recommend.",
            param="actuator",
        )
    ensure_signals(policy, signals)
    ensure_schedules(schedules, today=today)


def ensure_signals(policy: ScalingPolicy, signals: Sequence[Signal]) -> None:
    if not signals:
        raise PolicyRefused(
            "Add a signal: without one, nothing tells how many replicas are needed."
        )
    seen: set[str] = set()
    for signal in signals:
        if signal.kind not in MEASURES:
            raise PolicyRefused(
                f"{signal.kind!r} is no signal. There are: {', '.join(sorted(MEASURES))}."
            )
        if signal.kind in seen:
            raise PolicyRefused(f"{MEASURES[signal.kind].label} is there twice.")
        seen.add(signal.kind)
        if policy.algorithm == Algorithm.TARGET_TRACKING:
            ensure_target(signal)
        else:
            ensure_thresholds(signal)
        ensure_measured(signal)


def ensure_target(signal: Signal) -> None:
    measure = MEASURES[signal.kind]
    if signal.target is None or not signal.target > 0:
        raise PolicyRefused(
            f"{measure.label} needs a target above 0: how much each replica should have "
            f"({measure.unit})."
        )
    if measure.is_share and signal.target > 100:  # noqa: PLR2004 - per cent
        raise PolicyRefused(f"{measure.label} cannot be above 100 %.")


def ensure_thresholds(signal: Signal) -> None:
    label = MEASURES[signal.kind].label
    if signal.up is None or signal.down is None:
        raise PolicyRefused(f"{label} needs both thresholds: grow above, and shrink below.")
    if not 0 <= signal.down < signal.up:
        raise PolicyRefused(
            f"{label}: what it shrinks below ({signal.down:g}) must be less than what it grows "
            f"above ({signal.up:g}), or it would do both in turns."
        )


def ensure_measured(signal: Signal) -> None:
    measure = MEASURES[signal.kind]
    if not measure.asks_prometheus:
        return
    if not settings.PROMETHEUS_URL:
        raise PolicyRefused(
            f"{measure.label} is measured by Prometheus: set TENANTRY_PROMETHEUS_URL first."
        )
    if not signal.query.strip():
        raise PolicyRefused(
            f"{measure.label} needs a query to Prometheus that answers with one number in per cent."
        )


def ensure_schedules(schedules: Sequence[Hours], *, today: date) -> None:
    """Raises PolicyRefused."""
    for hours in schedules:
        ensure_hours(hours)
    overlap = first_overlap(schedules, today=today)
    if overlap:
        first, second = overlap
        raise PolicyRefused(
            f"The schedules {first.hours.name!r} and {second.hours.name!r} overlap on "
            f"{WEEKDAYS[second.starts.weekday()]} {second.starts:%Y-%m-%d %H:%M} UTC. Only one can "
            "be in force at a time."
        )


def ensure_hours(hours: Hours) -> None:
    """What can be told of a schedule by itself. Raises PolicyRefused."""
    name = hours.name
    if not is_time_zone(hours.zone):
        raise PolicyRefused(f"{name}: {hours.zone!r} is no time zone. Write it like Europe/Berlin.")
    if not hours.weekdays or not hours.weekdays <= frozenset(range(7)):
        raise PolicyRefused(f"{name}: choose weekdays, 0 (Monday) to 6 (Sunday).")
    if hours.least > hours.most:
        raise PolicyRefused(
            f"{name}: the least replicas ({hours.least}) are more than the most ({hours.most})."
        )
    if not 1 <= hours.most <= MAX_REPLICAS:
        raise PolicyRefused(f"{name}: the most replicas lie between 1 and {MAX_REPLICAS:,}.")
    if hours.first_day and hours.last_day and hours.first_day > hours.last_day:
        raise PolicyRefused(f"{name}: its last day is before its first.")
