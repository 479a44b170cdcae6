"""API keys: what a tenant's programs authenticate with. Only a digest is stored."""

from datetime import datetime
from ipaddress import ip_network

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.db.models.functions import Least

from tenants.scoping import TenantManager, TenantOwned


def validate_network(value: str) -> None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValidationError(
            f"{value} is not an address or network. It looks like 203.0.113.7 or 2001:db8::/32."
        ) from None


class Scope(models.TextChoices):
    """What a key may be used for."""

    CHAT = "chat", "Chat: completions, responses and sockets"
    EMBEDDINGS = "embeddings", "Embeddings"
    MODELS = "models", "Models: list what the key may use"


def every_scope() -> list[str]:
    return list(Scope.values)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def block(self, *, key_id: int, now: datetime) -> bool:
        """Refuse a key from now on. False if it was blocked already."""
        return self.filter(pk=key_id, blocked_at=None).update(blocked_at=now) == 1

    def unblock(self, *, key_id: int) -> bool:
        """Accept a blocked key again. False if it was not blocked."""
        return self.filter(pk=key_id).exclude(blocked_at=None).update(blocked_at=None) == 1

    def expire_by(self, *, key_id: int, at: datetime) -> bool:
        """Let a key end at `at`, or earlier if it would have ended earlier."""
        # PostgreSQL's LEAST skips NULL, which here means "never".
        return self.filter(pk=key_id).update(expires_at=Least(F("expires_at"), at)) == 1


ApiKeyManager = TenantManager.from_queryset(ApiKeyQuerySet)


class ApiKey(TenantOwned):
    """A secret that was shown once. `public_id` finds the row, `digest` proves the secret."""

    name = models.CharField(
        max_length=100, help_text="Where it is used, so that you know it again."
    )
    member = models.ForeignKey(
        "tenants.Membership",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="Usage is also counted for this member.",
    )
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    prefix = models.CharField(max_length=20, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    pepper = models.CharField(max_length=8, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope), default=every_scope, blank=True
    )
    allowed_models = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Routes and agents it may be used for, comma-separated. Empty: all.",
    )
    allowed_networks = ArrayField(
        models.CharField(max_length=50, validators=[validate_network]),
        default=list,
        blank=True,
        help_text="Addresses or networks it may be used from, comma-separated. Empty: anywhere.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    blocked_at = models.DateTimeField(null=True, editable=False)
    warned_of = models.DateTimeField(
        null=True, editable=False, help_text="The expiry that was announced."
    )
    noted_expiry = models.DateTimeField(
        null=True, editable=False, help_text="The expiry that was told to the gateways."
    )
    last_used_at = models.DateTimeField(null=True, editable=False)
    replaces = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, editable=False, related_name="replaced_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiKeyManager()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "API key"
        indexes = (models.Index(fields=("tenant", "-created_at"), name="apikey_by_tenant"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def clean(self) -> None:
        """Raises ValidationError for a member of another tenant, whose usage it would count as."""
        if self.member is not None and self.member.tenant_id != self.tenant_id:
            raise ValidationError("This member belongs to another tenant.")

    def status(self, *, now: datetime) -> str:
        """`blocked`, `expired` or `active`, as the gateway sees it."""
        if self.blocked_at:
            return "blocked"
        return "expired" if self.expires_at and self.expires_at <= now else "active"
