"""Schedules: runs of an agent by a cron expression, and what each due time led to."""

from django.db import models
from django.db.models import Q

from tenants.scoping import TenantManager, TenantOwned


class MissedPolicy(models.TextChoices):
    """What happens at a due time that was missed by more than five minutes."""

    SKIP = "skip", "skip it"
    RUN_ONCE = "run_once", "run once, as soon as possible"


class FiringState(models.TextChoices):
    """What a due time led to. The run has its own state."""

    STARTED = "started", "run started"
    SKIPPED = "skipped", "skipped"
    FAILED = "failed", "not started"


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def claim(self, *, schedule: "Schedule", next_at: object) -> bool:
        """Move a due schedule to its next time. Of many callers exactly one gets True."""
        due = self.filter(pk=schedule.pk, next_at=schedule.next_at, is_paused=False)
        return due.update(next_at=next_at, last_at=schedule.next_at) == 1


class Schedule(TenantOwned):
    """A schedule. `next_at` is None while it is paused."""

    public_id = models.CharField(max_length=40, unique=True, editable=False)
    name = models.CharField(max_length=100)
    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE, related_name="schedules")
    api_key = models.ForeignKey(
        "tenants.ApiKey",
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name="API key",
        help_text="The key of the tenant that limits and usage of the runs count for.",
    )
    input = models.TextField(max_length=100_000, help_text="The user message of each run.")
    cron = models.CharField(
        "cron expression",
        max_length=100,
        help_text="Minute, hour, day of the month, month, day of the week: `0 9 * * mon-fri`. Or "
        "`@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="IANA name, such as Europe/Berlin."
    )
    missed = models.CharField(
        "missed times",
        max_length=10,
        choices=MissedPolicy,
        default=MissedPolicy.SKIP,
        help_text="What happens to a time at which no Celery worker was running.",
    )
    is_paused = models.BooleanField("paused", default=False, editable=False)
    next_at = models.DateTimeField("next run", null=True, editable=False)
    last_at = models.DateTimeField("last due", null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager.from_queryset(ScheduleQuerySet)()

    class Meta:
        ordering = ("tenant", "name")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "name"), name="schedule_name_once"),
        )
        indexes = (
            models.Index(fields=("next_at",), condition=Q(is_paused=False), name="schedule_due"),
        )

    def __str__(self) -> str:
        return self.name


class ScheduleFiring(TenantOwned):
    """One due time of a schedule, and what it led to."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=FiringState)
    error_code = models.CharField(max_length=50, blank=True)
    run = models.ForeignKey("agents.Run", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["ScheduleFiring"]()

    class Meta:
        ordering = ("-due_at",)
        constraints = (
            models.UniqueConstraint(fields=("schedule", "due_at"), name="schedule_fires_once"),
        )
        indexes = (models.Index(fields=("created_at",), name="schedule_firing_age"),)

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.due_at:%Y-%m-%d %H:%M}"
