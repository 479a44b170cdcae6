"""Erases conversations and runs permanently: first rows, then Redis. A receipt remains.

The ledger is not changed: it has counts, but no content. Receipts have no content either.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import redis
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from agents.conversations.history import find_conversation
from agents.erasure.messages import delete_deliveries, delete_messages_until, inbox_messages
from agents.erasure.redis import purge
from agents.models import Approval, Conversation, ErasureReceipt, Item, PushConfig, Run, Task
from agents.models.choices import ACTIVE, ErasureKind
from agents.runs.worker_signals import stop_on_worker
from kernel.ids import new_id
from tenants.models import Tenant
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

BATCH_SIZE = 200
"""Maximum number of conversations, and of runs without one, that a transaction deletes."""
MAX_BATCHES_PER_TASK = 50
"""Maximum number of batches per tenant in one retention task. The next task continues."""
MAX_RETENTION_DAYS = 36_500
"""Retention periods are capped at this, because a longer one has no valid start date."""
REDIS_GRACE_PERIOD = timedelta(seconds=60)
"""Time for which an active run may still write to Redis before it is cancelled."""


def erase_conversation(tenant_id: int, *, conversation: str, by: str) -> ErasureReceipt:
    """Erase a conversation with its runs and their data. Raises NotFound."""
    with tenant_scope(tenant_id):
        with transaction.atomic():
            row = find_conversation(conversation, lock=True)
            receipt = open_receipt(
                tenant_id, kind=ErasureKind.CONVERSATION, target=conversation, by=by
            )
            messages = inbox_messages(row)
            delete_rows(receipt, conversations=[row.pk], runs=[])
        # Not in the same transaction, because an attempt locks a delivery before a conversation.
        note_counts(receipt, messages=delete_deliveries(messages, until=receipt.erased_at))
        return finish(receipt)


def request_tenant_erasure(tenant_id: int, *, by: str) -> ErasureReceipt:
    """Create the receipt of an erasure of all conversations and runs of a tenant up to now.

    `resume_erasure` executes it, either called directly or by the schedule.
    """
    with tenant_scope(tenant_id):
        slug = Tenant.objects.get(pk=tenant_id).slug
        return open_receipt(tenant_id, kind=ErasureKind.TENANT, target=slug, by=by)


def resume_erasure(receipt: ErasureReceipt) -> ErasureReceipt:
    """Continue the erasure of a receipt. It is idempotent, and safe to run concurrently."""
    with tenant_scope(receipt.tenant_id):
        if receipt.kind == ErasureKind.TENANT:
            before = Q(created_at__lte=receipt.erased_at)
            while delete_batch(receipt, conversations=before, runs=before):
                continue
            note_counts(receipt, messages=delete_messages_until(receipt.erased_at))
        return finish(receipt)


def resume_open_erasures() -> int:
    """Continue all unfinished erasures. Returns how many have finished."""
    with every_tenant():
        rows = list(ErasureReceipt.objects.filter(finished_at=None).order_by("pk")[:BATCH_SIZE])
    return sum(1 for row in rows if resume_erasure(row).finished_at is not None)


def tenants_with_retention() -> list[int]:
    """Return the tenants that have a retention period."""
    rows = Tenant.objects.exclude(retention_days=None)
    return list(rows.values_list("pk", flat=True))


def erase_expired(tenant_id: int, *, now: datetime) -> ErasureReceipt | None:
    """Erase data past the tenant's retention period. None if there is none.

    The age of a conversation is that of its last change; the age of a chain of responses is that of
    its last response.
    """
    with tenant_scope(tenant_id):
        tenant = Tenant.objects.get(pk=tenant_id)
        if tenant.retention_days is None:
            return None
        until = now - timedelta(days=min(tenant.retention_days, MAX_RETENTION_DAYS))
        followed = Exists(Run.objects.filter(previous=OuterRef("pk"), conversation=None))
        old, ended = Q(changed_at__lt=until), Q(created_at__lt=until) & ~Q(followed)
        messages = delete_messages_until(until)
        if not (messages or find_conversations(old) or find_runs(ended)):
            return None
        receipt = open_receipt(
            tenant_id, kind=ErasureKind.RETENTION, target=tenant.slug, by="retention"
        )
        note_counts(receipt, messages=messages)
        for _ in range(MAX_BATCHES_PER_TASK):
            if not delete_batch(receipt, conversations=old, runs=ended):
                break
        return finish(receipt)


def open_receipt(tenant_id: int, *, kind: ErasureKind, target: str, by: str) -> ErasureReceipt:
    return ErasureReceipt.objects.create(
        tenant_id=tenant_id,
        public_id=new_id("erase"),
        kind=kind,
        target=target,
        requested_by=by[:200],
    )


def find_conversations(which: Q) -> list[int]:
    rows = Conversation.objects.filter(which).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH_SIZE])


def find_runs(which: Q) -> list[int]:
    """Return runs without a conversation."""
    rows = Run.objects.filter(which, conversation=None).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH_SIZE])


@transaction.atomic
def delete_batch(receipt: ErasureReceipt, *, conversations: Q, runs: Q) -> bool:
    """Erase one batch. False if nothing is left."""
    found, runs_alone = find_conversations(conversations), find_runs(runs)
    if found or runs_alone:
        delete_rows(receipt, conversations=found, runs=runs_alone)
    return bool(found or runs_alone)


def delete_rows(
    receipt: ErasureReceipt, *, conversations: Sequence[int], runs: Sequence[int]
) -> None:
    """Delete rows, and record their counts and the ids whose data Redis may have."""
    receipt = lock(receipt)
    rows = Conversation.objects.filter(pk__in=conversations)
    of_runs = Q(conversation__in=conversations) | Q(pk__in=runs)
    names = {r.pk: r for r in Run.objects.filter(of_runs).only("public_id", "state", "worker")}
    active = [row for row in names.values() if row.state in ACTIVE]
    add_to(
        receipt.rest,
        conversations=list(rows.values_list("public_id", flat=True)),
        runs=[row.public_id for row in names.values()],
        alive=[row.public_id for row in active],
    )
    of_items = Q(conversation__in=conversations) | Q(run__in=names)
    PushConfig.objects.filter(run__in=names).delete()  # part of a run, and not counted
    add_to(
        receipt.counts,
        items=Item.objects.filter(of_items).delete()[0],
        approvals=Approval.objects.filter(run__in=names).delete()[0],
        tasks=Task.objects.filter(run__in=names).delete()[0],
        runs=Run.objects.filter(pk__in=names).delete()[0],
        conversations=rows.delete()[0],
    )
    receipt.save(update_fields=("counts", "rest"))
    for row in active:
        transaction.on_commit(partial(stop_on_worker, row.worker, row.public_id))


@transaction.atomic
def note_counts(receipt: ErasureReceipt, **counts: int) -> None:
    """Add the numbers of deleted rows to a receipt; 0 is left out."""
    receipt = lock(receipt)
    add_to(receipt.counts, **{name: count for name, count in counts.items() if count})
    receipt.save(update_fields=("counts",))


def add_to(book: dict[str, Any], **more: Any) -> None:
    """Add each value to that of the same name in `book`: numbers are summed, lists joined."""
    for name, value in more.items():
        book[name] = book[name] + value if name in book else value


def lock(receipt: ErasureReceipt) -> ErasureReceipt:
    """Lock and reload the receipt, because the schedule may work on it concurrently."""
    return ErasureReceipt.objects.select_for_update().get(pk=receipt.pk)


@transaction.atomic
def finish(receipt: ErasureReceipt) -> ErasureReceipt:
    """Delete the data in Redis. The receipt is unfinished while runs may still write."""
    receipt, now = lock(receipt), timezone.now()
    rest = receipt.rest
    try:
        gone = purge(
            receipt.tenant_id,
            conversations=rest.get("conversations", []),
            runs=rest.get("runs", []),
            everything=receipt.kind == ErasureKind.TENANT,
        )
    except redis.RedisError as error:
        log.warning("erasure: not finished, tried again later (error=%s)", error.__class__.__name__)
        return receipt
    add_to(receipt.counts, **gone)
    if not rest.get("alive") or now - receipt.erased_at >= REDIS_GRACE_PERIOD:
        receipt.rest, receipt.finished_at = {}, now
    receipt.save(update_fields=("counts", "rest", "finished_at"))
    return receipt
