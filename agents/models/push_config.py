"""The webhooks that clients of A2A register for their tasks."""

from django.db import models
from django.db.models import Q

from kernel.secrets import EncryptedTextField
from tenants.scoping import TenantManager, TenantOwned


class PushConfig(TenantOwned):
    """A webhook that receives the states of one task. The task is a run."""

    run = models.ForeignKey("agents.Run", on_delete=models.CASCADE, related_name="push_configs")
    config_id = models.CharField(max_length=128, help_text="The id by which the client names it.")
    url = models.CharField(max_length=500)
    token = EncryptedTextField(
        blank=True, default="", help_text="Sent with each notification. Write-only."
    )
    scheme = models.CharField(
        max_length=40, blank=True, help_text="Scheme of the Authorization header, or empty."
    )
    credential = EncryptedTextField(
        blank=True, default="", help_text="Sent in the Authorization header. Write-only."
    )
    sent_state = models.CharField(
        max_length=20, blank=True, help_text="The state of the run that was sent last."
    )
    tries = models.PositiveSmallIntegerField(
        default=0, help_text="Failed attempts to send the current state."
    )
    next_try_at = models.DateTimeField(
        null=True, help_text="Empty if nothing more is to be sent, or all attempts failed."
    )
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["PushConfig"]()

    class Meta:
        ordering = ("pk",)
        verbose_name = "push notification config"
        indexes = (
            models.Index(
                fields=("next_try_at",), condition=~Q(next_try_at=None), name="push_config_due"
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=("run", "config_id"), name="push_config_once_per_run"),
        )

    def __str__(self) -> str:
        return self.config_id
