"""Agents of others, which a tenant's agents may call by the A2A protocol."""

from django.core.validators import RegexValidator
from django.db import models

from kernel.secrets import EncryptedTextField
from tenants.scoping import TenantManager, TenantOwned

NAME = RegexValidator(
    r"\A[A-Za-z0-9_-]{1,64}\Z", "Use letters, digits, - and _ only: tools name it."
)


class RemoteAgent(TenantOwned):
    """A registered agent of others, with the agent card that was fetched last."""

    name = models.CharField(
        max_length=64, validators=[NAME], help_text="Tools of the kind A2A agent name it."
    )
    card_url = models.CharField(
        "card URL",
        max_length=500,
        help_text="For example https://agents.example.org/.well-known/agent-card.json",
    )
    card = models.JSONField(default=dict, editable=False)
    interface_url = models.CharField("interface URL", max_length=500, editable=False)
    binding = models.CharField(max_length=20, editable=False)
    credential = EncryptedTextField(
        blank=True, default="", help_text="Sent with each message. Write-only."
    )
    credential_header = models.CharField(max_length=100, default="authorization")
    credential_prefix = models.CharField(max_length=100, default="Bearer ", blank=True)
    enabled = models.BooleanField(default=True)
    fetched_at = models.DateTimeField("card fetched at", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["RemoteAgent"]()

    class Meta:
        ordering = ("tenant", "name")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "name"), name="remote_agent_once_per_tenant"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def capabilities(self) -> list[str]:
        """The ids of the skills in the card."""
        return [str(skill.get("id", "")) for skill in self.card.get("skills", ())]
