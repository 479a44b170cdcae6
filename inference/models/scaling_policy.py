"""Scaling policies: bounds, signals and schedules of the replicas of a pool."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from inference.signal_kinds import MEASURES

MAX_REPLICAS = 1000
MAX_WINDOW_SECONDS = 3600
REPLICAS = (MinValueValidator(1), MaxValueValidator(MAX_REPLICAS))
PERIOD = (MinValueValidator(15), MaxValueValidator(MAX_WINDOW_SECONDS))
UP_TO_AN_HOUR = (MaxValueValidator(MAX_WINDOW_SECONDS),)


class Mode(models.TextChoices):
    OFF = "off", "off: only records samples of the pool"
    RECOMMEND = "recommend", "recommend: shows how many replicas there should be"
    APPLY = "apply", "apply: starts and stops replicas"


class Algorithm(models.TextChoices):
    TARGET_TRACKING = (
        "target_tracking",
        "Target tracking: keeps each signal at its target per replica",
    )
    THRESHOLDS = (
        "thresholds",
        "Thresholds: scale out if any signal is above, scale in if all are below",
    )
    STEP = "step", "Doubling: double if any signal is above, halve if all are below"


class Select(models.TextChoices):
    MAX = "max", "the limit that allows the largest change"
    MIN = "min", "the limit that allows the smallest change"
    DISABLED = "disabled", "none: no change in this direction"


class ActuatorKind(models.TextChoices):
    NONE = "none", "none: recommendations only"
    PROCESS = "process", "process: engines on one machine"
    KUBERNETES = (
        "kubernetes",
        "Kubernetes: the scale of a Deployment, StatefulSet or similar resource",
    )
    HPA = "hpa", "HPA: Kubernetes' autoscaler applies this policy"


class ScalingPolicy(models.Model):
    """Rules for the number of replicas of a pool. Times are in seconds."""

    pool = models.OneToOneField(
        "inference.ModelPool", on_delete=models.CASCADE, related_name="scaling"
    )
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.RECOMMEND)
    algorithm = models.CharField(
        max_length=20, choices=Algorithm, default=Algorithm.TARGET_TRACKING
    )
    min_replicas = models.PositiveIntegerField(default=1, validators=REPLICAS)
    max_replicas = models.PositiveIntegerField(default=4, validators=REPLICAS)
    tolerance = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0), MaxValueValidator(0.9)],
        help_text="Relative difference between a signal and its target that causes no change.",
    )
    step_replicas = models.PositiveIntegerField(
        default=1, validators=REPLICAS, help_text="Replicas that a threshold adds or removes."
    )
    up_window = models.PositiveIntegerField(default=0, validators=UP_TO_AN_HOUR)
    up_percent = models.PositiveIntegerField(null=True, blank=True, default=100)
    up_percent_seconds = models.PositiveIntegerField(default=15, validators=PERIOD)
    up_replicas = models.PositiveIntegerField(null=True, blank=True, default=4)
    up_replicas_seconds = models.PositiveIntegerField(default=15, validators=PERIOD)
    up_select = models.CharField(max_length=10, choices=Select, default=Select.MAX)
    up_cooldown = models.PositiveIntegerField(default=0, validators=UP_TO_AN_HOUR)
    down_window = models.PositiveIntegerField(default=300, validators=UP_TO_AN_HOUR)
    down_percent = models.PositiveIntegerField(
        null=True, blank=True, default=100, validators=[MaxValueValidator(100)]
    )
    down_percent_seconds = models.PositiveIntegerField(default=15, validators=PERIOD)
    down_replicas = models.PositiveIntegerField(null=True, blank=True)
    down_replicas_seconds = models.PositiveIntegerField(default=60, validators=PERIOD)
    down_select = models.CharField(max_length=10, choices=Select, default=Select.MAX)
    down_cooldown = models.PositiveIntegerField(default=0, validators=UP_TO_AN_HOUR)
    idle_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(7 * 86_400)],
        help_text="Seconds without a request after which the pool scales to zero. Empty: never.",
    )
    actuator = models.CharField(max_length=12, choices=ActuatorKind, default=ActuatorKind.NONE)
    actuator_settings = models.JSONField(default=dict, blank=True)
    replica_cost = models.FloatField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="Cost of a replica per hour, for rehearsals.",
    )
    paused = models.BooleanField(default=False, editable=False)
    override_replicas = models.PositiveIntegerField(null=True, editable=False)
    override_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pool__name",)
        verbose_name_plural = "scaling policies"
        constraints = (
            models.CheckConstraint(
                condition=Q(min_replicas__lte=F("max_replicas")), name="policy_min_up_to_max"
            ),
        )

    def __str__(self) -> str:
        return f"scaling of {self.pool}"


class ScalingSignal(models.Model):
    """A signal that a policy evaluates."""

    policy = models.ForeignKey(ScalingPolicy, on_delete=models.CASCADE, related_name="signals")
    kind = models.CharField(
        max_length=20, choices=[(name, each.label) for name, each in MEASURES.items()]
    )
    target = models.FloatField(
        null=True, blank=True, help_text="For target tracking: the value per replica."
    )
    up = models.FloatField(
        null=True, blank=True, help_text="For the other algorithms: scale out above this value."
    )
    down = models.FloatField(
        null=True, blank=True, help_text="For the other algorithms: scale in below this value."
    )
    query = models.CharField(
        max_length=1000,
        blank=True,
        help_text="PromQL for CPU, memory and GPU. It returns one number.",
    )

    class Meta:
        ordering = ("kind",)
        constraints = (
            models.UniqueConstraint(fields=("policy", "kind"), name="signal_once_per_policy"),
        )

    def __str__(self) -> str:
        return self.get_kind_display()


class ScalingSchedule(models.Model):
    """Bounds that replace those of the policy during a time of the week."""

    policy = models.ForeignKey(ScalingPolicy, on_delete=models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=60)
    zone = models.CharField(
        max_length=60, default="UTC", help_text="Time zone, for example Europe/Berlin."
    )
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        size=7,
        help_text="Days on which the schedule starts; 0 is Monday.",
    )
    starts = models.TimeField()
    ends = models.TimeField(help_text="A time at or before the start is on the next day.")
    min_replicas = models.PositiveIntegerField(validators=[MaxValueValidator(MAX_REPLICAS)])
    max_replicas = models.PositiveIntegerField(validators=REPLICAS)
    first_day = models.DateField(null=True, blank=True)
    last_day = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ("policy", "starts", "name")
        constraints = (
            models.CheckConstraint(
                condition=Q(min_replicas__lte=F("max_replicas")), name="schedule_min_up_to_max"
            ),
        )

    def __str__(self) -> str:
        return self.name
