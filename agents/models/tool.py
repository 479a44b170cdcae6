"""Tools that a tenant's agents may call."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from agents.models.choices import ToolKind
from kernel.secrets import EncryptedTextField
from tenants.scoping import TenantManager, TenantOwned

NAME = RegexValidator(
    r"\A[A-Za-z0-9_-]{1,64}\Z", "Letters, digits, - and _ only: the model calls the tool so."
)


class Tool(TenantOwned):
    """What a model may call. Revisions name tools; what a tool does changes for all at once."""

    name = models.CharField(max_length=64, validators=[NAME])
    kind = models.CharField(max_length=10, choices=ToolKind)
    description = models.TextField(max_length=4000, help_text="What the model reads about it.")
    schema = models.JSONField(
        default=dict, blank=True, help_text="JSON schema of the arguments: an object."
    )
    settings = models.JSONField(
        default=dict,
        blank=True,
        help_text="As its kind needs: an address, a server, an agent.",
    )
    credential = EncryptedTextField(
        blank=True, default="", help_text="Sent along with each call. Write-only."
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    needs_approval = models.BooleanField(
        default=False, help_text="A person must allow each call before it is made."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = TenantManager["Tool"]()

    class Meta:
        ordering = ("tenant", "name")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "name"), name="tool_once_per_tenant"),
        )

    def __str__(self) -> str:
        return self.name
