"""Recipients of notifications about quotas and keys."""

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import models

from kernel.secrets import EncryptedTextField
from tenants.scoping import TenantManager, TenantOwned


def without_token(address: str) -> str:
    """Return an address for logs, without a webhook's path, which often contains its secret."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "…"
    return f"{parts.scheme}://{parts.hostname}{port}/…" if parts.hostname else address


class AlertRecipient(TenantOwned):
    """An e-mail address, or the URL of a webhook, which is sent signed messages."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook (signed)"

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.EMAIL)
    address = models.CharField(max_length=500, help_text="An e-mail address or an https address.")
    secret = EncryptedTextField(blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    on_reset = models.BooleanField(
        "notify of resets",
        default=False,
        help_text="Also notify when a quota resets.",
    )
    last_delivered_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["AlertRecipient"]()

    class Meta:
        ordering = ("kind", "address")

    def __str__(self) -> str:
        return without_token(self.address)

    def clean(self) -> None:
        """Raises ValidationError for an address of the wrong kind."""
        check = validate_email if self.kind == self.Kind.EMAIL else URLValidator(["https", "http"])
        try:
            check(self.address)
        except ValidationError as error:
            raise ValidationError({"address": error.messages}) from error
