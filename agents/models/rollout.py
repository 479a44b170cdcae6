"""A rollout: another revision that serves a share of an agent's conversations."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from agents.models.choices import RolloutState
from tenants.scoping import TenantManager, TenantOwned


class Rollout(TenantOwned):
    """The candidate serves `share` per cent; it goes back by itself if it does worse."""

    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE, related_name="rollouts")
    revision = models.ForeignKey("agents.AgentRevision", on_delete=models.CASCADE, related_name="+")
    share = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="Per cent of conversations; each stays with what it began with.",
    )
    state = models.CharField(
        max_length=12, choices=RolloutState, default=RolloutState.RUNNING, editable=False
    )
    least_runs = models.PositiveIntegerField(
        default=50, help_text="Of each revision, before they are compared."
    )
    most_errors = models.PositiveSmallIntegerField(
        default=5,
        validators=[MaxValueValidator(100)],
        help_text="Points of per cent by which more of its runs may fail.",
    )
    most_latency = models.PositiveSmallIntegerField(
        default=50, help_text="Per cent by which its runs may take longer, at the 95th percentile."
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
