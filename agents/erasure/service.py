"""Erasing what was said, for good: rows first, then what Redis holds, and a receipt that stays.

The ledger is left alone: it holds counts, and no word of what was said. Receipts hold neither.
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
from agents.erasure.redis import purge
from agents.models import Approval, Conversation, ErasureReceipt, Item, Run
from agents.models.choices import ACTIVE, ErasureKind
from agents.runs.worker_signals import stop_on_worker
from kernel.ids import new_id
from tenants.models import Tenant
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

BATCH = 200
"""Conversations, and runs without one, that are deleted in one transaction."""
BATCHES_AT_ONCE = 50
"""Of one task that keeps to a tenant's retention; the rest waits for the next."""
A_CENTURY = 36_500
"""In days: a longer retention keeps all, and its beginning is no date."""
AFTERGLOW = timedelta(seconds=60)
"""A run that was under way may still write to Redis before it notices that it is gone."""


def erase_conversation(tenant_id: int, *, conversation: str, by: str) -> ErasureReceipt:
    """Erase a conversation, its runs and whatever they left. Raises NotFound."""
    with tenant_scope(tenant_id):
        with transaction.atomic():
            row = find_conversation(conversation, lock=True)
            receipt = open_receipt(
                tenant_id, kind=ErasureKind.CONVERSATION, target=conversation, by=by
            )
            take_away(receipt, conversations=[row.pk], runs=[])
        return finish(receipt)


def begin_to_erase_tenant(tenant_id: int, *, by: str) -> ErasureReceipt:
    """Note that all that a tenant's conversations and runs hold, up to now, is to be erased.

    `carry_out` does it, at once if it is called, else when the schedule finds the receipt.
    """
    with tenant_scope(tenant_id):
        slug = Tenant.objects.get(pk=tenant_id).slug
        return open_receipt(tenant_id, kind=ErasureKind.TENANT, target=slug, by=by)


def carry_out(receipt: ErasureReceipt) -> ErasureReceipt:
    """Erase what is left of what a receipt is for. Safe to be called twice, also at once."""
    with tenant_scope(receipt.tenant_id):
        if receipt.kind == ErasureKind.TENANT:
            before = Q(created_at__lte=receipt.erased_at)
            while take_away_batch(receipt, conversations=before, runs=before):
                continue
        return finish(receipt)


def carry_out_open() -> int:
    """Go on with erasures that are not finished. Returns how many are now."""
    with every_tenant():
        rows = list(ErasureReceipt.objects.filter(finished_at=None).order_by("pk")[:BATCH])
    return sum(1 for row in rows if carry_out(row).finished_at is not None)


def tenants_with_retention() -> list[int]:
    """Those that do not keep their conversations for ever."""
    rows = Tenant.objects.exclude(retention_days=None)
    return list(rows.values_list("pk", flat=True))


def erase_expired(tenant_id: int, *, now: datetime) -> ErasureReceipt | None:
    """Erase what is older than the tenant keeps; None if nothing is.

    A conversation is as old as its last change, and a chain of responses as its last response.
    """
    with tenant_scope(tenant_id):
        tenant = Tenant.objects.get(pk=tenant_id)
        if tenant.retention_days is None:
            return None
        until = now - timedelta(days=min(tenant.retention_days, A_CENTURY))
        followed = Exists(Run.objects.filter(previous=OuterRef("pk"), conversation=None))
        old, ended = Q(changed_at__lt=until), Q(created_at__lt=until) & ~Q(followed)
        if not (find_conversations(old) or find_runs(ended)):
            return None
        receipt = open_receipt(
            tenant_id, kind=ErasureKind.RETENTION, target=tenant.slug, by="retention"
        )
        for _ in range(BATCHES_AT_ONCE):
            if not take_away_batch(receipt, conversations=old, runs=ended):
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
    return list(rows.values_list("pk", flat=True)[:BATCH])


def find_runs(which: Q) -> list[int]:
    """Runs that belong to no conversation."""
    rows = Run.objects.filter(which, conversation=None).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def take_away_batch(receipt: ErasureReceipt, *, conversations: Q, runs: Q) -> bool:
    """Erase some of those that are meant. False if there are none."""
    found, alone = find_conversations(conversations), find_runs(runs)
    if found or alone:
        take_away(receipt, conversations=found, runs=alone)
    return bool(found or alone)


def take_away(
    receipt: ErasureReceipt, *, conversations: Sequence[int], runs: Sequence[int]
) -> None:
    """Delete the rows, and note how many there were and what Redis may hold of them."""
    receipt = lock(receipt)
    talks = Conversation.objects.filter(pk__in=conversations)
    meant = Q(conversation__in=conversations) | Q(pk__in=runs)
    names = {r.pk: r for r in Run.objects.filter(meant).only("public_id", "state", "worker")}
    alive = [row for row in names.values() if row.state in ACTIVE]
    note(
        receipt.rest,
        conversations=list(talks.values_list("public_id", flat=True)),
        runs=[row.public_id for row in names.values()],
        alive=[row.public_id for row in alive],
    )
    belongs = Q(conversation__in=conversations) | Q(run__in=names)
    note(
        receipt.counts,
        items=Item.objects.filter(belongs).delete()[0],
        approvals=Approval.objects.filter(run__in=names).delete()[0],
        runs=Run.objects.filter(pk__in=names).delete()[0],
        conversations=talks.delete()[0],
    )
    receipt.save(update_fields=("counts", "rest"))
    for row in alive:
        transaction.on_commit(partial(stop_on_worker, row.worker, row.public_id))


def note(book: dict[str, Any], **more: Any) -> None:
    """Add numbers to numbers, and ids to ids."""
    for name, value in more.items():
        book[name] = book[name] + value if name in book else value


def lock(receipt: ErasureReceipt) -> ErasureReceipt:
    """As it is now: the schedule may be at the same receipt."""
    return ErasureReceipt.objects.select_for_update().get(pk=receipt.pk)


@transaction.atomic
def finish(receipt: ErasureReceipt) -> ErasureReceipt:
    """Delete what Redis holds. If that has to be done again, the receipt stays unfinished."""
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
    note(receipt.counts, **gone)
    if not rest.get("alive") or now - receipt.erased_at >= AFTERGLOW:
        receipt.rest, receipt.finished_at = {}, now
    receipt.save(update_fields=("counts", "rest", "finished_at"))
    return receipt
