"""Telling recipients: an event becomes a notice for each, and each is delivered by itself."""

import logging
from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.core.mail import send_mail
from django.db import transaction

from kernel.egress import EgressFailed, Request, fetch_now
from kernel.errors import PlatformError
from kernel.ids import new_id
from kernel.signatures import HEADER, sign
from tenants.models import AlertRecipient, Notice
from tenants.models.notice import MOST_TRIES
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

RESET = "quota.reset"
SUCCESSES = range(200, 300)
AT_ONCE = 1000
"""Notices that one look finds; the others are found by the next."""


def note_event(
    kind: str, *, told: Mapping[str, object], tenant_id: int, now: datetime
) -> list[Notice]:
    """Note, in the running transaction, that a tenant's recipients are to be told of an event.

    Asks inside a tenant scope. Beat delivers what is due, so nothing is lost by a crash.
    """
    recipients = AlertRecipient.objects.filter(enabled=True)
    if kind == RESET:
        recipients = recipients.filter(on_reset=True)
    event_id = new_id("evt")
    body = {
        "id": event_id,
        "type": kind,
        "created_at": now.isoformat(),
        "tenant_id": tenant_id,
        "data": dict(told),
    }
    return Notice.objects.bulk_create(
        Notice(
            tenant_id=tenant_id,
            recipient=recipient,
            event_id=event_id,
            body=body,
            next_try_at=now,
        )
        for recipient in recipients
    )


def due_notices(*, now: datetime) -> list[tuple[int, int]]:
    """Tenant and notice of what should be tried now, oldest first."""
    with every_tenant():
        rows = Notice.objects.due(now=now).order_by("next_try_at")
        return list(rows.values_list("tenant_id", "pk")[:AT_ONCE])


def deliver(*, tenant_id: int, notice_id: int, now: datetime) -> bool:
    """Try to deliver a notice that is due. False if it was somebody else's, or it failed.

    A receiver may get it twice, if we die between its answer and our note of it: the event's id
    is the same then.
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
    """Raises PlatformError or OSError (smtplib's errors are such) if it was not taken."""
    if notice.recipient.kind == AlertRecipient.Kind.EMAIL:
        send_mail(subject_of(notice), text_of(notice), None, [notice.recipient.address])
    else:
        post(notice, now=now)


def post(notice: Notice, *, now: datetime) -> None:
    body = msgspec.json.encode(notice.body)
    signature = sign(body, secret=notice.recipient.secret, at=int(now.timestamp()))
    headers = {"content-type": "application/json", HEADER: signature}
    request = Request(method="POST", url=notice.recipient.address, headers=headers, body=body)
    status = fetch_now(request).status
    if status not in SUCCESSES:
        raise EgressFailed(f"The address answered with status {status}.")


def subject_of(notice: Notice) -> str:
    data = notice.body["data"]
    return {
        "quota.threshold": "Tenantry: {percent} % of a quota are used",
        "quota.reset": "Tenantry: a quota was reset",
        "key.expiring": "Tenantry: an API key expires soon",
        "rollout.rolled_back": "Tenantry: revision {revision} of {agent} was taken back",
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
    """After the last try it is given up. What went wrong stands at the recipient."""
    reason = error.message if isinstance(error, PlatformError) else error.__class__.__name__
    log.warning("%s, try %d: %s", notice, notice.tries, reason)
    AlertRecipient.objects.filter(pk=notice.recipient_id).update(last_error=reason[:300])
    if notice.tries >= MOST_TRIES:
        Notice.objects.end(notice_id=notice.pk, now=now)
        log.error("%s was given up after %d tries", notice, notice.tries)
