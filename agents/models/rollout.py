"""A rollout: another revision that serves a share of an agent's conversations."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from agents.models.choices import RolloutState
from tenants.scoping import TenantManager, TenantOwned


class Rollout(TenantOwned):
    """The candidate revision serves `share` percent of conversations until the rollout ends."""

    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE, related_name="rollouts")
    revision = models.ForeignKey("agents.AgentRevision", on_delete=models.CASCADE, related_name="+")
    share = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="Percentage of conversations. A conversation keeps the revision it started with.",
    )
    state = models.CharField(
        max_length=12, choices=RolloutState, default=RolloutState.RUNNING, editable=False
    )
    min_runs = models.PositiveIntegerField(
        "minimum runs",
        default=50,
        help_text="Runs that each revision needs before the two are compared.",
    )
    max_error_rate_increase_points = models.PositiveSmallIntegerField(
        "maximum error rate increase (percentage points)",
        default=5,
        validators=[MaxValueValidator(100)],
        help_text="The candidate is rolled back if its error rate is higher by more than this.",
    )
    max_latency_increase_percent = models.PositiveSmallIntegerField(
        "maximum latency increase (%)",
        default=50,
        help_text="The candidate is rolled back if the 95th percentile of its latency or of its "
        "time to first token is higher by more than this.",
    )
    reason = models.CharField(max_length=300, blank=True, editable=False)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, editable=False)

    objects = TenantManager["Rollout"]()

    class Meta:
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("agent",),
                condition=Q(state=RolloutState.RUNNING),
                name="one_running_rollout_per_agent",
            ),
        )

    def __str__(self) -> str:
        return f"{self.revision} for {self.share} %"
