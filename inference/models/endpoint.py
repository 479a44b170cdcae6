"""A model endpoint: one address that serves a model."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from kernel.ids import new_public_id
from kernel.secrets import EncryptedTextField


class ModelEndpointQuerySet(models.QuerySet["ModelEndpoint"]):
    def beat(self, *, public_id: str, pool_id: int, now: datetime, load: dict[str, int]) -> bool:
        """Note that a registered endpoint is alive. False if it is not registered any more."""
        alive = self.filter(public_id=public_id, pool_id=pool_id, registered=True)
        return (
            alive.exclude(state=ModelEndpoint.State.EXPIRED).update(
                heartbeat_at=now, running=load["running"], waiting=load["waiting"]
            )
            == 1
        )

    def silent_since(self, moment: datetime) -> "ModelEndpointQuerySet":
        """Registered endpoints that count as alive, but have not been heard of since `moment`."""
        registered = self.filter(registered=True, heartbeat_at__lt=moment)
        return registered.exclude(state=ModelEndpoint.State.EXPIRED)

    def move(self, *, endpoint_id: int, before: tuple[str, ...], after: str) -> bool:
        """Change the state if it is one of `before`. Of many callers exactly one gets True."""
        return self.filter(pk=endpoint_id, state__in=before).update(state=after) == 1


class ModelEndpoint(models.Model):
    """One server. Registered ones send heartbeats; static ones are entered by an operator."""

    class State(models.TextChoices):
        READY = "ready", "ready: takes requests"
        DRAINING = "draining", "draining: finishes what runs"
        EXPIRED = "expired", "expired: its heartbeat stopped"

    public_id = models.CharField(
        max_length=20, unique=True, default=new_public_id, editable=False, verbose_name="id"
    )
    pool = models.ForeignKey(
        "inference.ModelPool", on_delete=models.CASCADE, related_name="endpoints"
    )
    address = models.URLField(
        max_length=300, help_text="Base URL without /v1, for example http://10.0.0.5:8000."
    )
    model = models.CharField(
        max_length=200, help_text="The name under which this server knows the model."
    )
    credential = EncryptedTextField(
        blank=True, default="", help_text="The server's own API key, if it wants one. Write-only."
    )
    state = models.CharField(max_length=10, choices=State, default=State.READY, editable=False)
    registered = models.BooleanField(
        default=False, editable=False, help_text="Registered itself, and expires when silent."
    )
    max_concurrency = models.PositiveIntegerField(
        default=1000, help_text="Most requests that run here at once."
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Its share of the requests, where the pool's strategy goes by weights.",
    )
    zone = models.CharField(max_length=50, blank=True, help_text="Where it stands, for people.")
    capabilities = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="Such as tools or vision, comma-separated.",
    )
    forced = models.CharField(
        "breaker",
        max_length=10,
        blank=True,
        choices=(
            ("", "as it goes by itself"),
            ("open", "open: left out"),
            ("closed", "closed: used whatever happens"),
        ),
    )
    engine_version = models.CharField(max_length=50, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    running = models.PositiveIntegerField(default=0, editable=False)
    waiting = models.PositiveIntegerField(default=0, editable=False)
    kv_cache_used = models.FloatField(
        null=True, editable=False, help_text="Share of the KV cache in use, 0 to 1."
    )
    ready_since = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelEndpointQuerySet.as_manager()

    class Meta:
        ordering = ("pool", "address")
        constraints = (
            models.UniqueConstraint(fields=("pool", "address"), name="endpoint_once_per_pool"),
            models.CheckConstraint(
                condition=Q(registered=False) | Q(heartbeat_at__isnull=False),
                name="registered_endpoint_has_heartbeat",
            ),
        )

    def __str__(self) -> str:
        return f"{self.pool} at {self.address}"
