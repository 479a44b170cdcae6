"""Recipients of notifications, and the signing secrets of webhooks."""

from django.db import transaction

from kernel.egress.client import configured_egress
from kernel.signatures import new_signing_secret
from tenants.models import AlertRecipient
from tenants.scoping import tenant_scope

FIELDS = ("kind", "address", "enabled", "on_reset")
"""Editable fields."""


@transaction.atomic
def save_recipient(*, recipient: AlertRecipient) -> str:
    """Store a new or changed recipient. Return the signing secret if it is new, else an empty text.

    The secret cannot be read again. A webhook gets a new one with a new address, so that the owner
    of the old address cannot sign messages. Raises ValidationError, and TargetRefused for a webhook
    in a network that is not public, which is checked again at each delivery.
    """
    recipient.full_clean()
    is_webhook = recipient.kind == AlertRecipient.Kind.WEBHOOK
    if is_webhook:
        configured_egress().ensure_target(recipient.address)
    with tenant_scope(recipient.tenant_id):
        if recipient._state.adding:  # noqa: SLF001 - Django's documented state of a model
            recipient.secret = new_signing_secret() if is_webhook else ""
            recipient.save()
            return recipient.secret
        before = AlertRecipient.objects.get(pk=recipient.pk)
        recipient.save(update_fields=FIELDS)
        moved = (before.kind, before.address) != (recipient.kind, recipient.address)
        return rotate_signing_secret(recipient=recipient) if is_webhook and moved else ""


@transaction.atomic
def rotate_signing_secret(*, recipient: AlertRecipient) -> str:
    """Replace the signing secret of a webhook. Return the new one, which cannot be read again."""
    recipient.secret = new_signing_secret()
    with tenant_scope(recipient.tenant_id):
        recipient.save(update_fields=["secret"])
    return recipient.secret


@transaction.atomic
def delete_recipient(*, recipient: AlertRecipient) -> None:
    """Delete a recipient with its pending notices."""
    with tenant_scope(recipient.tenant_id):
        recipient.delete()
