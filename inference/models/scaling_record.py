"""Samples, decisions and evaluation state of scaling."""

from django.db import models
from django.db.models import Exists, OuterRef, Q

from inference.models.pool import ModelPool

SLOT_SECONDS = 15
"""Seconds of a slot. Each pool is evaluated once per slot."""
SLOTS_AHEAD = 4
"""A state that is more slots ahead was written before the clock was set back."""


class ScalingStateQuerySet(models.QuerySet["ScalingState"]):
    def free(self, *, slot: int) -> "ScalingStateQuerySet":
        """States that no other process has evaluated, or is evaluating, in this slot; locked."""
        return self.select_for_update(skip_locked=True, of=("self",)).filter(due(slot))

    def is_anything_due(self, *, slot: int) -> bool:
        """Return whether a pool was not evaluated in this slot yet."""
        evaluated = self.filter(~due(slot), pool=OuterRef("pk"))
        return ModelPool.objects.filter(~Exists(evaluated)).exists()


def due(slot: int) -> Q:
    return Q(slot__lt=slot) | Q(slot__gt=slot + SLOTS_AHEAD)


class ScalingState(models.Model):
    """The last evaluated slot of a pool, with the state that the next evaluation needs."""

    pool = models.OneToOneField(
        "inference.ModelPool", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    slot = models.BigIntegerField(default=0)
    history = models.JSONField(default=dict)
    """Counters, and the proposals and changes within the windows of the policy."""
    status = models.JSONField(default=dict)
    """The last observation and recommendation, for pages and metrics."""

    objects = ScalingStateQuerySet.as_manager()

    def __str__(self) -> str:
        return f"state of {self.pool_id} at {self.slot}"


class ScalingDecision(models.Model):
    """One decision for a pool, with its inputs and its outcome."""

    class Outcome(models.TextChoices):
        UNCHANGED = "unchanged", "nothing to change"
        RECOMMENDED = "recommended", "recommended"
        PENDING = "pending", "in progress"
        APPLIED = "applied", "applied"
        FAILED = "failed", "failed"

    pool = models.ForeignKey("inference.ModelPool", on_delete=models.CASCADE, related_name="+")
    slot = models.BigIntegerField()
    at = models.DateTimeField()
    mode = models.CharField(max_length=10)
    replicas = models.PositiveIntegerField(help_text="Replicas at the time of the decision.")
    proposed = models.PositiveIntegerField(help_text="Replicas by the signals alone.")
    desired = models.PositiveIntegerField(help_text="Replicas after windows, limits and bounds.")
    outcome = models.CharField(max_length=12, choices=Outcome)
    reason = models.TextField()
    limited_by = models.CharField(max_length=12, blank=True)
    inputs = models.JSONField(default=dict)
    signal_results = models.JSONField(default=list)
    note = models.CharField(max_length=300, blank=True, help_text="Message of the actuator.")

    class Meta:
        ordering = ("-at",)
        constraints = (
            models.UniqueConstraint(fields=("pool", "slot"), name="one_decision_per_slot"),
        )
        indexes = (models.Index(fields=("pool", "-at"), name="decisions_of_pool"),)

    def __str__(self) -> str:
        return f"{self.replicas} → {self.desired} at {self.at:%Y-%m-%d %H:%M:%S}"


class PoolSample(models.Model):
    """Replicas and signals of a pool in one interval. Null: not reported."""

    class Stretch(models.IntegerChoices):
        SLOT = SLOT_SECONDS, "15 seconds"
        FIVE_MINUTES = 300, "5 minutes"
        HOUR = 3600, "an hour"

    pool = models.ForeignKey("inference.ModelPool", on_delete=models.CASCADE, related_name="+")
    stretch = models.PositiveSmallIntegerField(choices=Stretch, default=Stretch.SLOT)
    at = models.DateTimeField(help_text="Start of the interval.")
    replicas = models.FloatField(help_text="Replicas, including those that are starting.")
    ready = models.FloatField()
    desired = models.FloatField(null=True)
    min_replicas = models.FloatField(null=True)
    max_replicas = models.FloatField(null=True)
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
