"""Who is told of alerts: recipients, and the secrets that prove to webhooks who speaks."""

from django.db import transaction

from kernel.egress.client import configured_egress
from kernel.signatures import new_signing_secret
from tenants.models import AlertRecipient
from tenants.scoping import tenant_scope

FIELDS = ("kind", "address", "enabled", "on_reset")
"""What a form changes."""


@transaction.atomic
def save_recipient(*, recipient: AlertRecipient) -> str:
    """Store a new or changed recipient. Returns the signing secret if one was made just now.

    It is shown this one time. A webhook at a new address gets a new one, so that the old address
    cannot speak for us. Raises ValidationError, and TargetRefused for a webhook in a network that
    is not public; its name is checked again whenever it is sent to.
    """
    recipient.full_clean()
    is_webhook = recipient.kind == AlertRecipient.Kind.WEBHOOK
    if is_webhook:
        configured_egress().ensure_target(recipient.address)
    with tenant_scope(recipient.tenant_id):
        if recipient._state.adding:  # noqa: SLF001 - Django's own way to ask
            recipient.secret = new_signing_secret() if is_webhook else ""
            recipient.save()
            return recipient.secret
        before = AlertRecipient.objects.get(pk=recipient.pk)
        recipient.save(update_fields=FIELDS)
        moved = (before.kind, before.address) != (recipient.kind, recipient.address)
        return rotate_signing_secret(recipient=recipient) if is_webhook and moved else ""


@transaction.atomic
def rotate_signing_secret(*, recipient: AlertRecipient) -> str:
    """A new secret for a webhook, shown this one time. The old one signs nothing any more."""
    recipient.secret = new_signing_secret()
    with tenant_scope(recipient.tenant_id):
        recipient.save(update_fields=["secret"])
    return recipient.secret


@transaction.atomic
def delete_recipient(*, recipient: AlertRecipient) -> None:
    """Tell it nothing any more, not even what is under way."""
    with tenant_scope(recipient.tenant_id):
        recipient.delete()
