"""Validates scaling policies; the first error is raised with a message for operators."""

from collections.abc import Sequence
from datetime import date

from django.conf import settings

from inference.errors import PolicyRefused
from inference.models import ScalingPolicy
from inference.models.scaling_policy import MAX_REPLICAS, ActuatorKind, Algorithm, Mode
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
    """Raise PolicyRefused for a policy that cannot work."""
    if policy.min_replicas > policy.max_replicas:
        raise PolicyRefused(
            f"min_replicas ({policy.min_replicas}) is more than max_replicas "
            f"({policy.max_replicas}).",
            param="min_replicas",
        )
    if policy.mode == Mode.APPLY and policy.actuator == ActuatorKind.NONE:
        raise PolicyRefused(
            "The policy has no actuator to apply it: choose one, or the mode recommend.",
            param="actuator",
        )
    ensure_signals(policy, signals)
    ensure_schedules(schedules, today=today)


def ensure_signals(policy: ScalingPolicy, signals: Sequence[Signal]) -> None:
    if not signals:
        raise PolicyRefused("Add a signal: without one, no number of replicas can be computed.")
    seen: set[str] = set()
    for signal in signals:
        if signal.kind not in MEASURES:
            raise PolicyRefused(
                f"{signal.kind!r} is not a signal. Choose one of: {', '.join(sorted(MEASURES))}."
            )
        if signal.kind in seen:
            raise PolicyRefused(f"The signal {MEASURES[signal.kind].label} appears twice.")
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
            f"{measure.label} needs a target above 0: the value per replica ({measure.unit})."
        )
    if measure.is_share and signal.target > 100:  # noqa: PLR2004 - per cent
        raise PolicyRefused(f"{measure.label} cannot be above 100 %.")


def ensure_thresholds(signal: Signal) -> None:
    label = MEASURES[signal.kind].label
    if signal.up is None or signal.down is None:
        raise PolicyRefused(f"{label} needs both thresholds: scale out above, and scale in below.")
    if not 0 <= signal.down < signal.up:
        raise PolicyRefused(
            f"{label}: the threshold to scale in ({signal.down:g}) must be less than the threshold "
            f"to scale out ({signal.up:g}), or the pool would alternate between both."
        )


def ensure_measured(signal: Signal) -> None:
    measure = MEASURES[signal.kind]
    if not measure.uses_prometheus:
        return
    if not settings.PROMETHEUS_URL:
        raise PolicyRefused(
            f"{measure.label} is measured by Prometheus: set TENANTRY_PROMETHEUS_URL first."
        )
    if not signal.query.strip():
        raise PolicyRefused(f"{measure.label} needs a Prometheus query that returns a percentage.")


def ensure_schedules(schedules: Sequence[Hours], *, today: date) -> None:
    """Raise PolicyRefused for an invalid schedule, or for two that overlap."""
    for hours in schedules:
        ensure_hours(hours)
    overlap = first_overlap(schedules, today=today)
    if overlap:
        first, second = overlap
        raise PolicyRefused(
            f"The schedules {first.hours.name!r} and {second.hours.name!r} overlap on "
            f"{WEEKDAYS[second.starts.weekday()]} {second.starts:%Y-%m-%d %H:%M} UTC. Only one can "
            "be active at a time."
        )


def ensure_hours(hours: Hours) -> None:
    """Raise PolicyRefused for a schedule that is invalid by itself."""
    name = hours.name
    if not is_time_zone(hours.zone):
        raise PolicyRefused(f"{name}: {hours.zone!r} is not a time zone. Example: Europe/Berlin.")
    if not hours.weekdays or not hours.weekdays <= frozenset(range(7)):
        raise PolicyRefused(f"{name}: choose weekdays, 0 (Monday) to 6 (Sunday).")
    if hours.min_replicas > hours.max_replicas:
        raise PolicyRefused(
            f"{name}: min_replicas ({hours.min_replicas}) is more than max_replicas "
            f"({hours.max_replicas})."
        )
    if not 1 <= hours.max_replicas <= MAX_REPLICAS:
        raise PolicyRefused(f"{name}: max_replicas must be between 1 and {MAX_REPLICAS:,}.")
    if hours.first_day and hours.last_day and hours.first_day > hours.last_day:
        raise PolicyRefused(f"{name}: its last day is before its first.")
