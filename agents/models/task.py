"""Tasks of tenants: work for whichever agent has the required capabilities."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from tenants.scoping import TenantManager, TenantOwned


class Task(TenantOwned):
    """A task. Its state, output and usage are those of its run.

    The row is inserted before the run, whose `client_id` is the id of the task. A task without a
    run was never accepted; a periodic job finds its run, or deletes it.
    """

    public_id = models.CharField(max_length=40, unique=True)
    api_key_id = models.BigIntegerField(null=True)
    required_capabilities = ArrayField(models.CharField(max_length=63), default=list)
    input = models.JSONField(help_text="The input as the client sent it.")
    requested_agent = models.CharField(max_length=50, blank=True)
    agent = models.CharField(max_length=50, help_text="Slug of the chosen agent.")
    explanation = models.JSONField(
        default=dict, help_text="The candidates, and why each was chosen or left out."
    )
    priority = models.SmallIntegerField(default=0)
    deadline = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=128)
    fingerprint = models.CharField(
        max_length=32, help_text="Hash of the request: a key must not be used for two requests."
    )
    callback_url = models.CharField(
        max_length=500, blank=True, help_text="Address of a webhook recipient of the tenant."
    )
    callback_noticed_at = models.DateTimeField(
        null=True, help_text="When the notice about the end of the task was created."
    )
    metadata = models.JSONField(default=dict)
    run = models.ForeignKey("agents.Run", on_delete=models.CASCADE, null=True, related_name="tasks")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["Task"]()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("tenant", "-id"), name="task_recent"),
            models.Index(fields=("agent", "-id"), name="task_by_agent"),
            models.Index(fields=("created_at",), condition=Q(run=None), name="task_without_run"),
            models.Index(
                fields=("id",),
                condition=Q(callback_noticed_at=None) & ~Q(callback_url=""),
                name="task_callback_due",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "api_key_id", "idempotency_key"), name="task_once_per_key"
            ),
        )

    def __str__(self) -> str:
        return self.public_id
