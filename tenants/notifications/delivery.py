"""Notifications: an event creates a notice for each recipient; each is delivered separately."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from kernel.egress.client import EgressFailed, Request, fetch_now
from kernel.errors import PlatformError
from kernel.ids import new_id
from kernel.signatures import signature_headers
from tenants.models import AlertRecipient, Notice
from tenants.models.notice import MAX_TRIES
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

RESET = "quota.reset"
SUCCESSES = range(200, 300)
MAX_AT_ONCE = 1000
"""Maximum number of notices that one query returns; the next query returns the others."""
MAX_OF_ONE_RECIPIENT = 20
"""Maximum number of one recipient in a query, so that a failing recipient blocks no other."""


def create_notification(
    kind: str, *, facts: Mapping[str, object], tenant_id: int, now: datetime
) -> list[Notice]:
    """Create notices of an event for a tenant's recipients, in the running transaction.

    Needs a tenant scope. A periodic task delivers the notices, so that a crash loses none.
    """
    return create_notifications(kind, events=[facts], tenant_id=tenant_id, now=now)


def create_notifications(
    kind: str, *, events: Sequence[Mapping[str, object]], tenant_id: int, now: datetime
) -> list[Notice]:
    """Create notices of several events of one kind and tenant; see `create_notification`."""
    recipients = AlertRecipient.objects.filter(enabled=True)
    if kind == RESET:
        recipients = recipients.filter(on_reset=True)
    return create_notices(kind, events=events, recipients=recipients, tenant_id=tenant_id, now=now)


def create_notices(
    kind: str,
    *,
    events: Iterable[Mapping[str, object]],
    recipients: Iterable[AlertRecipient],
    tenant_id: int,
    now: datetime,
) -> list[Notice]:
    """Create notices of several events for these recipients, in the running transaction."""
    selected = list(recipients)
    return Notice.objects.bulk_create(
        Notice(
            tenant_id=tenant_id,
            recipient=recipient,
            event_id=body["id"],
            body=body,
            next_try_at=now,
        )
        for body in (body_of(kind, facts, tenant_id=tenant_id, now=now) for facts in events)
        for recipient in selected
    )


def body_of(
    kind: str, facts: Mapping[str, object], *, tenant_id: int, now: datetime
) -> dict[str, Any]:
    return {
        "id": new_id("evt"),
        "type": kind,
        "created_at": now.isoformat(),
        "tenant_id": tenant_id,
        "data": dict(facts),
    }


def deliver_due(*, max_seconds: float) -> int:
    """Deliver due notices, the oldest of each recipient first. Return the number delivered.

    Starts no delivery after `max_seconds`, or to a recipient that has failed during this call.
    """
    ends = time.monotonic() + max_seconds
    failing: set[int] = set()
    delivered = 0
    while took := deliver_some(failing, ends=ends):
        delivered += took
    return delivered


def deliver_some(failing: set[int], *, ends: float) -> int:
    """Deliver the notices of one query. Add failed recipients to `failing`. Return the number."""
    due = due_notices(now=timezone.now())
    recipients = recipients_of(notice_id for _, notice_id in due)
    delivered = 0
    for number, (tenant_id, notice_id) in enumerate(due):
        if time.monotonic() >= ends:
            log.warning("notices: deliveries postponed, out of time (left=%d)", len(due) - number)
            return 0
        recipient_id = recipients.get(notice_id, 0)
        if recipient_id in failing:
            continue
        if deliver(tenant_id=tenant_id, notice_id=notice_id, now=timezone.now()):
            delivered += 1
        else:
            failing.add(recipient_id)
    return delivered


def due_notices(*, now: datetime) -> list[tuple[int, int]]:
    """Return tenant and notice of due deliveries, in rotation of the recipients."""
    rank = Window(RowNumber(), partition_by="recipient_id", order_by=("next_try_at", "pk"))
    with every_tenant():
        rows = Notice.objects.due(now=now).annotate(rank=rank)
        rows = rows.filter(rank__lte=MAX_OF_ONE_RECIPIENT).order_by("rank", "next_try_at", "pk")
        return list(rows.values_list("tenant_id", "pk")[:MAX_AT_ONCE])


def recipients_of(notice_ids: Iterable[int]) -> dict[int, int]:
    with every_tenant():
        rows = Notice.objects.filter(pk__in=list(notice_ids))
        return dict(rows.values_list("pk", "recipient_id"))


def deliver(*, tenant_id: int, notice_id: int, now: datetime) -> bool:
    """Deliver a due notice. Return False if another process has it, or the delivery failed.

    Delivery is at least once: after a crash a receiver may get a notice again, with the same event
    id.
    """
    with tenant_scope(tenant_id):
        if not Notice.objects.claim(notice_id=notice_id, now=now):
            return False
        notice = Notice.objects.select_related("recipient").get(pk=notice_id)
        try:
            send(notice, now=now)
        except (PlatformError, OSError) as error:
            note_failure(notice, error, now=now)
            return False
        note_delivery(notice, now=now)
    return True


def send(notice: Notice, *, now: datetime) -> None:
    """Send a notice. Raises PlatformError or OSError, the base class of smtplib's errors."""
    if notice.recipient.kind == AlertRecipient.Kind.EMAIL:
        send_mail(subject_of(notice), text_of(notice), None, [notice.recipient.address])
    else:
        post(notice, now=now)


def post(notice: Notice, *, now: datetime) -> None:
    body = msgspec.json.encode(notice.body)
    headers = {"content-type": "application/json"} | signature_headers(
        body,
        message_id=notice.event_id,
        secret=notice.recipient.secret,
        at=int(now.timestamp()),
    )
    request = Request(method="POST", url=notice.recipient.address, headers=headers, body=body)
    status = fetch_now(request).status
    if status not in SUCCESSES:
        raise EgressFailed(f"The webhook responded with status {status}.")


def subject_of(notice: Notice) -> str:
    data = notice.body["data"]
    return {
        "quota.threshold": "Tenantry: {percent} % of a quota is used",
        "quota.reset": "Tenantry: a quota was reset",
        "key.expiring": "Tenantry: an API key expires soon",
        "rollout.rolled_back": "Tenantry: revision {revision} of {agent} was rolled back",
    }[notice.body["type"]].format(**data)


def text_of(notice: Notice) -> str:
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in notice.body["data"].items()]
    return "\n".join([*lines, "", f"event: {notice.event_id}"])


@transaction.atomic
def note_delivery(notice: Notice, *, now: datetime) -> None:
    Notice.objects.end(notice_id=notice.pk, now=now)
    recipient = AlertRecipient.objects.filter(pk=notice.recipient_id)
    recipient.update(last_delivered_at=now, last_error="")


@transaction.atomic
def note_failure(notice: Notice, error: Exception, *, now: datetime) -> None:
    """Record a failed attempt, also on the recipient; drop the notice after the last attempt."""
    reason = error.message if isinstance(error, PlatformError) else error.__class__.__name__
    log.warning("notices: delivery failed (notice=%s, try=%d): %s", notice, notice.tries, reason)
    AlertRecipient.objects.filter(pk=notice.recipient_id).update(last_error=reason[:300])
    if notice.tries >= MAX_TRIES:
        Notice.objects.end(notice_id=notice.pk, now=now)
        log.error(
            "notices: dropped after the last attempt (notice=%s, tries=%d)", notice, notice.tries
        )
