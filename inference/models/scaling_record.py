"""What scaling saw, decided and did."""

from django.db import models
from django.db.models import Exists, OuterRef, Q

from inference.models.pool import ModelPool

SLOT_SECONDS = 15
"""Time is cut into slots of so many seconds; a pool is looked at once in each."""
SLOTS_AHEAD = 4
"""A state that is further ahead was written by a clock that has since been put back."""


class ScalingStateQuerySet(models.QuerySet["ScalingState"]):
    def free(self, *, slot: int) -> "ScalingStateQuerySet":
        """Locked: those that nobody else looks at in this slot, now or before."""
        return self.select_for_update(skip_locked=True, of=("self",)).filter(due(slot))

    def is_anything_due(self, *, slot: int) -> bool:
        """Whether some pool was not looked at in this slot, as far as one query can tell."""
        looked_at = self.filter(~due(slot), pool=OuterRef("pk"))
        return ModelPool.objects.filter(~Exists(looked_at)).exists()


def due(slot: int) -> Q:
    return Q(slot__lt=slot) | Q(slot__gt=slot + SLOTS_AHEAD)


class ScalingState(models.Model):
    """Where the scaling of a pool stands: who looked last, and what the next one must know."""

    pool = models.OneToOneField(
        "inference.ModelPool", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    slot = models.BigIntegerField(default=0)
    memory = models.JSONField(default=dict)
    """Counters as they were, proposals and changes of the last windows, since when it is idle."""
    shown = models.JSONField(default=dict)
    """What was seen and wanted last, for pages and metrics."""

    objects = ScalingStateQuerySet.as_manager()

    def __str__(self) -> str:
        return f"state of {self.pool_id} at {self.slot}"


class ScalingDecision(models.Model):
    """What was decided for a pool, from what, and what came of it."""

    class Outcome(models.TextChoices):
        KEPT = "kept", "nothing to change"
        RECOMMENDED = "recommended", "recommended"
        PENDING = "pending", "being carried out"
        APPLIED = "applied", "carried out"
        FAILED = "failed", "could not be carried out"

    pool = models.ForeignKey("inference.ModelPool", on_delete=models.CASCADE, related_name="+")
    slot = models.BigIntegerField()
    at = models.DateTimeField()
    mode = models.CharField(max_length=10)
    replicas = models.PositiveIntegerField(help_text="How many there were.")
    proposed = models.PositiveIntegerField(help_text="By the signals alone.")
    desired = models.PositiveIntegerField(help_text="After windows, limits and bounds.")
    outcome = models.CharField(max_length=12, choices=Outcome)
    reason = models.TextField()
    held_by = models.CharField(max_length=12, blank=True)
    inputs = models.JSONField(default=dict)
    formulas = models.JSONField(default=list)
    note = models.CharField(max_length=300, blank=True, help_text="What the actuator said.")

    class Meta:
        ordering = ("-at",)
        constraints = (
            models.UniqueConstraint(fields=("pool", "slot"), name="one_decision_per_slot"),
        )
        indexes = (models.Index(fields=("pool", "-at"), name="decisions_of_pool"),)

    def __str__(self) -> str:
        return f"{self.replicas} → {self.desired} at {self.at:%Y-%m-%d %H:%M:%S}"


class PoolSample(models.Model):
    """What a pool did in one stretch of time. Nothing where nobody told."""

    class Stretch(models.IntegerChoices):
        SLOT = SLOT_SECONDS, "15 seconds"
        FIVE_MINUTES = 300, "5 minutes"
        HOUR = 3600, "an hour"

    pool = models.ForeignKey("inference.ModelPool", on_delete=models.CASCADE, related_name="+")
    stretch = models.PositiveSmallIntegerField(choices=Stretch, default=Stretch.SLOT)
    at = models.DateTimeField(help_text="When the stretch began.")
    replicas = models.FloatField(help_text="Those that start included.")
    ready = models.FloatField()
    desired = models.FloatField(null=True)
    least = models.FloatField(null=True)
    most = models.FloatField(null=True)
    waiting = models.FloatField(null=True)
    in_flight = models.FloatField(null=True)
    request_rate = models.FloatField(null=True)
    ttft_p95 = models.FloatField(null=True)
    kv_cache = models.FloatField(null=True)
    cpu = models.FloatField(null=True)
    memory = models.FloatField(null=True)
    gpu = models.FloatField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("pool", "stretch", "at"), name="one_sample_per_stretch"
            ),
        )
        indexes = (models.Index(fields=("stretch", "at"), name="samples_by_age"),)

    def __str__(self) -> str:
        return f"{self.pool_id} at {self.at:%Y-%m-%d %H:%M:%S}"
