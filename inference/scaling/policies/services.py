"""The services that change scaling policies; no other code writes them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from inference.errors import ConfirmationNeeded, NameTaken, PolicyRefused
from inference.models import ModelEndpoint, ModelPool, ScalingPolicy, ScalingSchedule, ScalingSignal
from inference.models.scaling_policy import MAX_REPLICAS, ActuatorKind, Mode
from inference.scaling.actuators.registry import ACTUATORS
from inference.scaling.decision.schedules import Hours
from inference.scaling.policies.kubernetes_export import compile_policy
from inference.scaling.policies.mapping import Signal, hours_of, stored_hours, stored_signals
from inference.scaling.policies.validation import validate_policy
from kernel.audit import note_transition

State = ModelEndpoint.State
MAX_OVERRIDE = timedelta(days=7)


@transaction.atomic
def save_policy(
    *,
    policy: ScalingPolicy,
    now: datetime,
    signals: Sequence[Signal] | None = None,
    schedules: Sequence[Hours] | None = None,
    is_confirmed: bool = False,
) -> None:
    """Store a policy. `signals` and `schedules` replace all stored ones; None keeps them.

    Raises PolicyRefused, ValidationError, NameTaken if the pool has another policy, and
    ConfirmationNeeded if it would remove replicas at once and `is_confirmed` is false.
    """
    wanted = stored_signals(policy) if signals is None else signals
    hours = stored_hours(policy) if schedules is None else schedules
    policy.full_clean(validate_unique=False, validate_constraints=False)
    validate_policy(policy=policy, signals=wanted, schedules=hours, today=now.date())
    ACTUATORS[policy.actuator].check(policy.actuator_settings)
    if policy.actuator == ActuatorKind.HPA:
        # Raises PolicyRefused for what Kubernetes' autoscaler cannot do.
        compile_policy(policy, signals=wanted, schedules=hours)
    if policy.mode == Mode.APPLY and not is_confirmed:
        ensure_no_scale_in(policy)
    store(policy)
    if signals is not None:
        store_signals(policy, signals)
    if schedules is not None:
        store_schedules(policy, schedules)


def store(policy: ScalingPolicy) -> None:
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as error:
        raise NameTaken(f"The pool {policy.pool.name!r} has a policy already.") from error


def ensure_no_scale_in(policy: ScalingPolicy) -> None:
    replicas = count_replicas(policy.pool)
    if replicas > policy.max_replicas:
        raise ConfirmationNeeded(
            f"{policy.pool.name} has {replicas} replicas, and the policy allows "
            f"{policy.max_replicas}: the rest would be drained at once. Confirm this change.",
            param="max_replicas",
        )


def count_replicas(pool: ModelPool) -> int:
    """Count the endpoints that are not draining, healthy or not."""
    return pool.endpoints.filter(state__in=(State.READY, State.UNHEALTHY)).count()


def store_signals(policy: ScalingPolicy, signals: Sequence[Signal]) -> None:
    """Replace the stored signals row by row, so that the audit log has each change."""
    wanted = {signal.kind: signal for signal in signals}
    for row in policy.signals.all():
        signal = wanted.pop(row.kind, None)
        if signal is None:
            row.delete()
            continue
        before = (row.target, row.up, row.down, row.query)
        after = (signal.target, signal.up, signal.down, signal.query)
        if before != after:
            row.target, row.up, row.down, row.query = after
            row.save()
    for signal in wanted.values():
        ScalingSignal.objects.create(
            policy=policy,
            kind=signal.kind,
            target=signal.target,
            up=signal.up,
            down=signal.down,
            query=signal.query,
        )


def store_schedules(policy: ScalingPolicy, schedules: Sequence[Hours]) -> None:
    wanted = list(schedules)
    for row in policy.schedules.all():
        if hours_of(row) in wanted:
            wanted.remove(hours_of(row))
        else:
            row.delete()
    for hours in wanted:
        ScalingSchedule.objects.create(
            policy=policy,
            name=hours.name,
            zone=hours.zone,
            weekdays=sorted(hours.weekdays),
            starts=hours.starts,
            ends=hours.ends,
            min_replicas=hours.min_replicas,
            max_replicas=hours.max_replicas,
            first_day=hours.first_day,
            last_day=hours.last_day,
        )


def delete_policy(*, policy: ScalingPolicy) -> None:
    """Delete a policy; the pool and its scaling history are kept."""
    policy.delete()


def pause(*, policy: ScalingPolicy) -> bool:
    """Stop scaling the pool until `resume`. Return False if it was paused already."""
    return set_paused(policy, before=False, after=True)


def resume(*, policy: ScalingPolicy) -> bool:
    """Continue scaling the pool. Return False if it was not paused."""
    return set_paused(policy, before=True, after=False)


@transaction.atomic
def set_paused(policy: ScalingPolicy, *, before: bool, after: bool) -> bool:
    rows = ScalingPolicy.objects.filter(pk=policy.pk, paused=before)
    moved = rows.update(paused=after) == 1
    if moved:
        note_transition(policy, field="paused", before=before, after=after)
    return moved


@transaction.atomic
def override(*, policy: ScalingPolicy, replicas: int, until: datetime, now: datetime) -> None:
    """Set the replicas by hand until a time; signals are ignored. Raises PolicyRefused."""
    if not 0 <= replicas <= MAX_REPLICAS:
        raise PolicyRefused(f"Choose between 0 and {MAX_REPLICAS:,} replicas.", param="replicas")
    if not now < until <= now + MAX_OVERRIDE:
        raise PolicyRefused("An override needs an end within a week.", param="until")
    before = policy.override_replicas if is_overridden(policy, now=now) else "none"
    rows = ScalingPolicy.objects.filter(pk=policy.pk)
    rows.update(override_replicas=replicas, override_until=until)
    reason = f"until {until:%Y-%m-%d %H:%M} UTC"
    note_transition(policy, field="override", before=before, after=replicas, reason=reason)


@transaction.atomic
def end_override(*, policy: ScalingPolicy) -> bool:
    """Return to scaling by signals. Return False if there was no override."""
    rows = ScalingPolicy.objects.filter(pk=policy.pk, override_replicas__isnull=False)
    ended = rows.update(override_replicas=None, override_until=None) == 1
    if ended:
        note_transition(policy, field="override", before=policy.override_replicas, after="none")
    return ended


def is_overridden(policy: ScalingPolicy, *, now: datetime) -> bool:
    until = policy.override_until
    return policy.override_replicas is not None and until is not None and now < until
