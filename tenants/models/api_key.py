"""API keys, with which a tenant's programs authenticate. Only a digest is stored."""

from datetime import datetime
from ipaddress import ip_network

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least

from tenants.api_keys.bounds import DEFAULT_RANK, Bounds, Rank, bounds_of
from tenants.scoping import TenantManager, TenantOwned


def validate_network(value: str) -> None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValidationError(
            f"{value} is not an address or network. Examples: 203.0.113.7, 2001:db8::/32."
        ) from None


class Scope(models.TextChoices):
    """The scopes of a key."""

    CHAT = "chat", "Chat: completions, responses and sockets"
    EMBEDDINGS = "embeddings", "Embeddings"
    MODELS = "models", "Models: list the models of the key"


def every_scope() -> list[str]:
    return list(Scope.values)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def block(self, *, key_id: int, now: datetime, by: Rank) -> bool:
        """Block a key. Return False if it was blocked already; then the higher rank is kept."""
        unblocked = self.filter(pk=key_id, blocked_at=None)
        if unblocked.update(blocked_at=now, blocked_by=by) == 1:
            return True
        self.filter(pk=key_id, blocked_by__lt=by).update(blocked_by=by)
        return False

    def unblock(self, *, key_id: int, by: Rank) -> bool:
        """Unblock a key that was blocked by a user of this rank or a lower one.

        Return False if there is no such block.
        """
        # Consoles of the previous version, which run during an upgrade, do not set `blocked_by`.
        rank = Coalesce("blocked_by", int(Rank.OPERATOR))
        blocked = self.filter(pk=key_id).exclude(blocked_at=None).alias(rank=rank)
        blocked = blocked.filter(rank__lte=by)
        return blocked.update(blocked_at=None, blocked_by=None) == 1

    def of_lineage(self, key_id: int) -> "ApiKeyQuerySet":
        """Return the keys of a chain of rotations, the newest last."""
        first = Coalesce("lineage", "pk", output_field=models.BigIntegerField())
        root = self.filter(pk=key_id).values_list(first)[:1]
        return self.filter(Q(pk=root) | Q(lineage=root)).order_by("pk")

    def expire_by(self, *, key_id: int, at: datetime) -> bool:
        """Set the expiry of a key to `at`, unless it expires earlier."""
        # PostgreSQL's LEAST ignores NULL, which means "never" here.
        return self.filter(pk=key_id).update(expires_at=Least(F("expires_at"), at)) == 1


ApiKeyManager = TenantManager.from_queryset(ApiKeyQuerySet)


class ApiKey(TenantOwned):
    """An API key. `public_id` identifies the row, `digest` verifies the secret."""

    name = models.CharField(
        max_length=100, help_text="A name that identifies the key, such as where it is used."
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
        help_text="Routes and agents that the key may use, comma-separated. Empty: all.",
    )
    allowed_networks = ArrayField(
        models.CharField(max_length=50, validators=[validate_network]),
        default=list,
        blank=True,
        help_text="Client addresses or networks to accept, comma-separated. Empty: any.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    blocked_at = models.DateTimeField(null=True, editable=False)
    blocked_by = models.PositiveSmallIntegerField(
        null=True,
        editable=False,
        choices=[(int(rank), rank.name.lower()) for rank in Rank],
        help_text="Rank of the user who blocked it; a lower rank cannot unblock it.",
    )
    bounds = models.JSONField(
        null=True,
        editable=False,
        help_text="Bounds of the key, each with the rank that set it; lower ranks cannot widen "
        "them. Empty: not recorded, because the key is older.",
    )
    warned_of = models.DateTimeField(
        null=True, editable=False, help_text="Expiry of which recipients were notified."
    )
    noted_expiry = models.DateTimeField(
        null=True, editable=False, help_text="Expiry that was published to the gateways."
    )
    last_used_at = models.DateTimeField(null=True, editable=False)
    replaces = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, editable=False, related_name="replaced_by"
    )
    lineage = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="First key of the chain of rotations, by whose id limits count all its keys. "
        "Empty: the key itself.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiKeyManager()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "API key"
        indexes = (
            models.Index(fields=("tenant", "-created_at"), name="apikey_by_tenant"),
            # For searches by the beginning of a name.
            models.Index(
                fields=("name",), opclasses=("varchar_pattern_ops",), name="apikey_by_name"
            ),
            models.Index(fields=("-created_at", "-id"), name="apikey_by_time"),
            models.Index(fields=("lineage",), condition=~Q(lineage=None), name="apikey_by_lineage"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def clean(self) -> None:
        """Raises ValidationError for a member of another tenant."""
        if self.member is not None and self.member.tenant_id != self.tenant_id:
            raise ValidationError("This member belongs to another tenant.")

    @property
    def counted_as(self) -> int:
        """The id of the first key of the chain, by which limits count this key."""
        return self.lineage or self.pk

    @property
    def bounds_in_force(self) -> Bounds:
        """The recorded bounds; for a key without a record, its present values."""
        if self.bounds is not None:
            recorded: Bounds = self.bounds
            return recorded
        return bounds_of(vars(self), every_scope=every_scope(), rank=DEFAULT_RANK)

    def status(self, *, now: datetime) -> str:
        """Return `blocked`, `expired` or `active`, by the rules of the gateway."""
        if self.blocked_at:
            return "blocked"
        return "expired" if self.expires_at and self.expires_at <= now else "active"
