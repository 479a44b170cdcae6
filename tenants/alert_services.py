"""Everything that changes who is told about quotas. Edges call these; nothing else writes."""

import base64
import secrets
from dataclasses import dataclass

from django.db import transaction

from kernel.errors import Conflict
from tenants.models import AlertRecipient, Tenant
from tenants.scoping import tenant_scope

SECRET_BYTES = 24
FIELDS = ("address", "enabled", "on_reset")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecipient:
    """A recipient and, this one time, the secret that its messages are signed with."""

    recipient: AlertRecipient
    secret: str
    """Empty for e-mail."""

    def __repr__(self) -> str:
        return f"NewRecipient({self.recipient})"


def new_secret() -> str:
    """As Standard Webhooks writes it: `whsec_` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@transaction.atomic
def add_recipient(*, tenant: Tenant, kind: str, address: str, enabled: bool = True) -> NewRecipient:
    """Tell somebody about this tenant's quotas. A webhook gets a secret, stored encrypted.

    Raises ValidationError for an address that does not fit the kind.
    """
    secret = new_secret() if kind == AlertRecipient.Kind.WEBHOOK else ""
    recipient = AlertRecipient(
        tenant=tenant,
        kind=kind,
        address=address,
        enabled=enabled,
        on_reset=on_reset,
        secret=secret,
    )
    with tenant_scope(tenant.pk):
        recipient.full_clean(exclude=("tenant", "secret"))
        recipient.save()
    return NewRecipient(recipient=recipient, secret=secret)


@transaction.atomic
def save_recipient(*, recipient: AlertRecipient) -> None:
    """Store a changed address. Raises ValidationError for one that does not fit the kind."""
    with tenant_scope(recipient.tenant_id):
        recipient.full_clean(exclude=("tenant", "secret"))
        recipient.save(update_fields=FIELDS)


@transaction.atomic
def renew_secret(*, recipient: AlertRecipient) -> NewRecipient:
    """Sign with another secret from now on. Raises Conflict for e-mail, which is not signed."""
    if recipient.kind != AlertRecipient.Kind.WEBHOOK:
        raise Conflict("Only what a webhook is sent is signed. E-mail has no secret.")
    recipient.secret = secret = new_secret()
    with tenant_scope(recipient.tenant_id):
        recipient.save(update_fields=("secret",))
    return NewRecipient(recipient=recipient, secret=secret)


@transaction.atomic
def delete_recipient(*, recipient: AlertRecipient) -> None:
    """Tell this address nothing more."""
    with tenant_scope(recipient.tenant_id):
        recipient.delete()
