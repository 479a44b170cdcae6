"""Reads the numbers of replicas from actuators, and has them changed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from inference.errors import ActuatorFailed
from inference.models import ScalingDecision, ScalingPolicy, ScalingState
from inference.scaling.actuators.actuator import Order
from inference.scaling.actuators.registry import ACTUATORS
from kernel.audit import note_transition

log = logging.getLogger(__name__)

Outcome = ScalingDecision.Outcome
MAX_CONCURRENT_CALLS = 16
MAX_NOTE_CHARS = 300
SAMPLED_SLOTS = 20
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision to apply."""

    policy: ScalingPolicy
    pool: str
    slot: int
    slot_at: datetime
    """Start of the slot; the periods of limits are counted from it."""
    at: datetime
    before: int
    after: int
    reason: str
    least_loaded: Sequence[str] = ()


def read_replicas(
    policies: Mapping[int, ScalingPolicy],
) -> tuple[dict[int, int], dict[int, str]]:
    """Return the replicas that actuators report and the messages of those that failed, by pool."""
    items = list(policies.values())
    counts: dict[int, int] = {}
    errors: dict[int, str] = {}
    for policy, answer in zip(items, run_concurrently(read_one, items), strict=True):
        if isinstance(answer, ActuatorFailed):
            errors[policy.pool_id] = answer.message
        elif answer is not None:
            counts[policy.pool_id] = answer
    return counts, errors


def read_one(policy: ScalingPolicy) -> int | ActuatorFailed | None:
    try:
        return ACTUATORS[policy.actuator].read(order_of(policy))
    except ActuatorFailed as failure:
        return failure


def order_of(policy: ScalingPolicy, *, least_loaded: Sequence[str] = ()) -> Order:
    return Order(
        pool_id=policy.pool_id,
        pool=policy.pool.name,
        settings=policy.actuator_settings,
        least_loaded=least_loaded,
    )


def apply_changes(changes: Sequence[Change]) -> None:
    """Apply the changes and record the outcome of each. A pool that fails is not changed."""
    for change, failure in zip(changes, run_concurrently(apply_change, changes), strict=True):
        note_outcome(change, failure)


def apply_change(change: Change) -> str | ActuatorFailed:
    order = order_of(change.policy, least_loaded=change.least_loaded)
    try:
        return ACTUATORS[change.policy.actuator].scale(
            order, before=change.before, after=change.after
        )
    except ActuatorFailed as failure:
        return failure


def run_concurrently(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call `function` for each item in threads: most of the time is spent waiting for I/O."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(MAX_CONCURRENT_CALLS, len(items))) as threads:
        return list(threads.map(function, items))


@transaction.atomic
def note_outcome(change: Change, answer: str | ActuatorFailed) -> None:
    """Record the outcome in the decision and, if it was applied, in the audit log and history."""
    rows = ScalingDecision.objects.filter(pool_id=change.policy.pool_id, slot=change.slot)
    if isinstance(answer, ActuatorFailed):
        note_failure(change, rows, note=answer.message[:MAX_NOTE_CHARS])
        return
    rows.update(outcome=Outcome.APPLIED, note=answer[:MAX_NOTE_CHARS])
    record_change(change)
    note_transition(
        change.policy,
        field="replicas",
        before=change.before,
        after=change.after,
        reason=change.reason,
    )


def note_failure(change: Change, rows: QuerySet[ScalingDecision], *, note: str) -> None:
    """Record a failure once per reason, and then in sampled slots: each slot tries again."""
    before = ScalingDecision.objects.filter(pool_id=change.policy.pool_id, at__lt=change.at)
    last = before.order_by("-at").first()
    is_recorded = last is not None and (last.outcome, last.note) == (Outcome.FAILED, note)
    if is_recorded and not is_sampled(slot=change.slot, pool_id=change.policy.pool_id):
        rows.delete()
        return
    rows.update(outcome=Outcome.FAILED, note=note)
    log.warning("scaling: pool not scaled (pool=%s): %s", change.pool, note)


def is_sampled(*, slot: int, pool_id: int) -> bool:
    """Return whether unchanged decisions are stored in this slot: once every five minutes."""
    return (slot + pool_id) % SAMPLED_SLOTS == 0


def record_change(change: Change) -> None:
    """Add a change to the history, from which limits per period are computed. Failures are not."""
    rows = ScalingState.objects.select_for_update().filter(pool_id=change.policy.pool_id)
    state = rows.first()
    if state is None:
        return
    made = [change.slot_at.timestamp(), change.after - change.before]
    state.history["changes"] = [*state.history.get("changes", ()), made]
    state.save(update_fields=["history"])
