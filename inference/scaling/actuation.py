"""Asking actuators how many replicas there are, and having them changed."""

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
AT_ONCE = 16
MAX_NOTE_CHARS = 300
SAMPLED_SLOTS = 20
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision that is to be carried out."""

    policy: ScalingPolicy
    pool: str
    slot: int
    slot_at: datetime
    """When the slot began, by which periods are counted."""
    at: datetime
    before: int
    after: int
    reason: str
    idlest: Sequence[str] = ()


def read_replicas(
    policies: Mapping[int, ScalingPolicy],
) -> tuple[dict[int, int], dict[int, str]]:
    """What actuators say, and what went wrong with the others, by pool."""
    asked = list(policies.values())
    counts: dict[int, int] = {}
    troubles: dict[int, str] = {}
    for policy, answer in zip(asked, all_at_once(ask_one, asked), strict=True):
        if isinstance(answer, ActuatorFailed):
            troubles[policy.pool_id] = answer.message
        elif answer is not None:
            counts[policy.pool_id] = answer
    return counts, troubles


def ask_one(policy: ScalingPolicy) -> int | ActuatorFailed | None:
    try:
        return ACTUATORS[policy.actuator].read(order_of(policy))
    except ActuatorFailed as failure:
        return failure


def order_of(policy: ScalingPolicy, *, idlest: Sequence[str] = ()) -> Order:
    return Order(
        pool_id=policy.pool_id,
        pool=policy.pool.name,
        settings=policy.actuator_settings,
        idlest=idlest,
    )


def carry_out(changes: Sequence[Change]) -> None:
    """Have them done, and write down what came of each. A pool that fails stays as it is."""
    for change, failure in zip(changes, all_at_once(carry_out_one, changes), strict=True):
        note_outcome(change, failure)


def carry_out_one(change: Change) -> str | ActuatorFailed:
    order = order_of(change.policy, idlest=change.idlest)
    try:
        return ACTUATORS[change.policy.actuator].scale(
            order, before=change.before, after=change.after
        )
    except ActuatorFailed as failure:
        return failure


def all_at_once(function: Callable[[Asked], Answer], asked: Sequence[Asked]) -> list[Answer]:
    """On some threads: most of the time is spent waiting for others."""
    if not asked:
        return []
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(asked))) as threads:
        return list(threads.map(function, asked))


@transaction.atomic
def note_outcome(change: Change, answer: str | ActuatorFailed) -> None:
    """In the decision's row and, where it was carried out, in the audit log and the memory."""
    rows = ScalingDecision.objects.filter(pool_id=change.policy.pool_id, slot=change.slot)
    if isinstance(answer, ActuatorFailed):
        note_failure(change, rows, note=answer.message[:MAX_NOTE_CHARS])
        return
    rows.update(outcome=Outcome.APPLIED, note=answer[:MAX_NOTE_CHARS])
    remember(change)
    note_transition(
        change.policy,
        field="replicas",
        before=change.before,
        after=change.after,
        reason=change.reason,
    )


def note_failure(change: Change, rows: QuerySet[ScalingDecision], *, note: str) -> None:
    """Once for each reason, and as a sample while it goes on: it is tried in every slot."""
    before = ScalingDecision.objects.filter(pool_id=change.policy.pool_id, at__lt=change.at)
    last = before.order_by("-at").first()
    is_recorded = last is not None and (last.outcome, last.note) == (Outcome.FAILED, note)
    if is_recorded and not is_sampled(slot=change.slot, pool_id=change.policy.pool_id):
        rows.delete()
        return
    rows.update(outcome=Outcome.FAILED, note=note)
    log.warning("scaling: pool not scaled (pool=%s): %s", change.pool, note)


def is_sampled(*, slot: int, pool_id: int) -> bool:
    """Whether what is no news is written down in this slot: every five minutes."""
    return (slot + pool_id) % SAMPLED_SLOTS == 0


def remember(change: Change) -> None:
    """For the limits of how much may change in a period. A failure does not count against them."""
    rows = ScalingState.objects.select_for_update().filter(pool_id=change.policy.pool_id)
    state = rows.first()
    if state is None:
        return
    made = [change.slot_at.timestamp(), change.after - change.before]
    state.memory["changes"] = [*state.memory.get("changes", ()), made]
    state.save(update_fields=["memory"])
