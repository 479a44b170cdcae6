"""API keys: what a tenant's programs authenticate with. Only a digest is stored."""

from datetime import datetime
from ipaddress import ip_network

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least

from tenants.api_keys.bounds import RANK_BEFORE, Bounds, Rank, bounds_of
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
    def block(self, *, key_id: int, now: datetime, by: Rank) -> bool:
        """Refuse a key from now on. False if it was blocked already; then the block becomes one of
        the higher rank of both.
        """
        unblocked = self.filter(pk=key_id, blocked_at=None)
        if unblocked.update(blocked_at=now, blocked_by=by) == 1:
            return True
        self.filter(pk=key_id, blocked_by__lt=by).update(blocked_by=by)
        return False

    def unblock(self, *, key_id: int, by: Rank) -> bool:
        """Accept again a key that somebody of this rank or a lower one has blocked. False if there
        is no such block.
        """
        # Older consoles, which may run beside this one for a while, do not say who blocks.
        rank = Coalesce("blocked_by", int(Rank.OPERATOR))
        blocked = self.filter(pk=key_id).exclude(blocked_at=None).alias(rank=rank)
        blocked = blocked.filter(rank__lte=by)
        return blocked.update(blocked_at=None, blocked_by=None) == 1

    def of_lineage(self, key_id: int) -> "ApiKeyQuerySet":
        """A key, those that it replaced and those that replaced it, the newest last."""
        first = Coalesce("lineage", "pk", output_field=models.BigIntegerField())
        root = self.filter(pk=key_id).values_list(first)[:1]
        return self.filter(Q(pk=root) | Q(lineage=root)).order_by("pk")

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
    blocked_by = models.PositiveSmallIntegerField(
        null=True,
        editable=False,
        choices=[(int(rank), rank.name.lower()) for rank in Rank],
        help_text="Only this rank or a higher one unblocks it.",
    )
    bounds = models.JSONField(
        null=True,
        editable=False,
        help_text="What it was limited to, and by which rank: lower ones cannot widen that. Empty: "
        "not recorded, because the key is older.",
    )
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
    lineage = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="The first of the keys that replaced each other. Limits count them as that one. "
        "Empty: the key itself.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiKeyManager()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "API key"
        indexes = (
            models.Index(fields=("tenant", "-created_at"), name="apikey_by_tenant"),
            # Names are searched for by their beginning.
            models.Index(
                fields=("name",), opclasses=("varchar_pattern_ops",), name="apikey_by_name"
            ),
            models.Index(fields=("-created_at", "-id"), name="apikey_by_time"),
            models.Index(fields=("lineage",), condition=~Q(lineage=None), name="apikey_by_lineage"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def clean(self) -> None:
        """Raises ValidationError for a member of another tenant, whose usage it would count as."""
        if self.member is not None and self.member.tenant_id != self.tenant_id:
            raise ValidationError("This member belongs to another tenant.")

    @property
    def counted_as(self) -> int:
        """The key as which limits count this one: rotation frees nobody of what was used."""
        return self.lineage or self.pk

    @property
    def bounds_in_force(self) -> Bounds:
        """Those that were recorded; of an older key what it is limited to now."""
        if self.bounds is not None:
            recorded: Bounds = self.bounds
            return recorded
        return bounds_of(vars(self), every_scope=every_scope(), rank=RANK_BEFORE)

    def status(self, *, now: datetime) -> str:
        """`blocked`, `expired` or `active`, as the gateway sees it."""
        if self.blocked_at:
            return "blocked"
        return "expired" if self.expires_at and self.expires_at <= now else "active"
