"""A model endpoint: one address that serves a model."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from inference.engines.engine import EngineLoad
from kernel.ids import new_public_id
from kernel.secrets import EncryptedTextField

MAX_ADDRESS_CHARS = 300
MAX_CONCURRENCY = 100_000


class ModelEndpointQuerySet(models.QuerySet["ModelEndpoint"]):
    def record_heartbeat(
        self, *, public_id: str, pool_id: int, now: datetime, load: EngineLoad
    ) -> bool:
        """Record a heartbeat. False if the endpoint is no longer registered."""
        alive = self.filter(public_id=public_id, pool_id=pool_id, registered=True)
        alive = alive.exclude(state=ModelEndpoint.State.EXPIRED)
        return alive.update(heartbeat_at=now, **load.gauges()) == 1

    def silent_since(self, moment: datetime) -> "ModelEndpointQuerySet":
        """Registered endpoints that have not expired and sent no heartbeat since `moment`."""
        registered = self.filter(registered=True, heartbeat_at__lt=moment)
        return registered.exclude(state=ModelEndpoint.State.EXPIRED)

    def due(self, moment: datetime) -> "ModelEndpointQuerySet":
        """Endpoints whose next probe is due; those that were never probed come first."""
        alive = self.exclude(state=ModelEndpoint.State.EXPIRED)
        is_due = Q(next_probe_at=None) | Q(next_probe_at__lte=moment)
        return alive.filter(is_due).order_by(F("next_probe_at").asc(nulls_first=True))

    def due_for_completion(self, moment: datetime) -> "ModelEndpointQuerySet":
        """Endpoints whose completion probe is due and where no request waits."""
        wanted = self.filter(pool__completion_probe_seconds__isnull=False, waiting=0)
        is_due = Q(next_completion_at=None) | Q(next_completion_at__lte=moment)
        return wanted.exclude(state=ModelEndpoint.State.EXPIRED).filter(is_due)

    def move(self, *, endpoint_id: int, before: str, after: str) -> bool:
        """Change the state if it is `before`. Of concurrent callers exactly one gets True.

        An endpoint that becomes ready begins its slow start, and is probed at once.
        """
        fresh = {"ready_since": Now(), "probe_streak": 0, "next_probe_at": None}
        changes = fresh if after == ModelEndpoint.State.READY else {}
        rows = self.filter(pk=endpoint_id, state=before)
        return rows.update(state=after, **changes) == 1


class ModelEndpoint(models.Model):
    """One server. Registered ones send heartbeats; static ones are entered by an operator."""

    class State(models.TextChoices):
        READY = "ready", "ready: takes requests"
        UNHEALTHY = "unhealthy", "unhealthy: its probes fail"
        DRAINING = "draining", "draining: finishes its running requests"
        EXPIRED = "expired", "expired: its heartbeat stopped"

    public_id = models.CharField(
        max_length=20, unique=True, default=new_public_id, editable=False, verbose_name="id"
    )
    pool = models.ForeignKey(
        "inference.ModelPool", on_delete=models.CASCADE, related_name="endpoints"
    )
    address = models.URLField(
        max_length=MAX_ADDRESS_CHARS,
        help_text="Base URL without /v1, for example http://10.0.0.5:8000.",
    )
    model = models.CharField(max_length=200, help_text="The server's name of the model.")
    credential = EncryptedTextField(
        blank=True, default="", help_text="The server's API key, if it requires one. Write-only."
    )
    state = models.CharField(max_length=10, choices=State, default=State.READY, editable=False)
    registered = models.BooleanField(
        default=False,
        editable=False,
        help_text="Registered itself, and expires without heartbeats.",
    )
    max_concurrency = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_CONCURRENCY)],
        help_text="Maximum number of requests that run here at the same time.",
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Share of the requests, for the weighted strategies.",
    )
    zone = models.CharField(
        max_length=50, blank=True, help_text="Name of the location. It has no effect on routing."
    )
    capabilities = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        size=20,
        help_text="For example tools or vision, separated by commas.",
    )
    breaker_override = models.CharField(
        "breaker",
        max_length=10,
        blank=True,
        choices=(
            ("", "automatic"),
            ("open", "open: gets no requests"),
            ("closed", "closed: gets requests even if they fail"),
        ),
    )
    machine = models.CharField(
        max_length=100,
        blank=True,
        editable=False,
        help_text="The machine from which it registered.",
    )
    engine_version = models.CharField(max_length=50, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    running = models.PositiveIntegerField(default=0, editable=False)
    waiting = models.PositiveIntegerField(default=0, editable=False)
    kv_cache_used = models.FloatField(
        null=True, editable=False, help_text="Share of the KV cache in use, 0 to 1."
    )
    ready_since = models.DateTimeField(null=True, editable=False)
    probed_at = models.DateTimeField(null=True, editable=False)
    probe_note = models.CharField(
        max_length=200, blank=True, editable=False, help_text="Result of the last probe."
    )
    probe_streak = models.SmallIntegerField(
        default=0, editable=False, help_text="Successful probes in a row; failed ones are negative."
    )
    next_probe_at = models.DateTimeField(null=True, editable=False, db_index=True)
    next_completion_at = models.DateTimeField(null=True, editable=False)
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
