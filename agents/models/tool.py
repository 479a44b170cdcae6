"""Tools that a tenant's agents may call."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from agents.models.choices import ToolKind
from kernel.secrets import EncryptedTextField
from tenants.scoping import TenantManager, TenantOwned

NAME = RegexValidator(
    r"\A[A-Za-z0-9_-]{1,64}\Z",
    "Use letters, digits, - and _ only: it is the function's name for the model.",
)


class Tool(TenantOwned):
    """A tool. Revisions refer to tools by name, so a change applies to all revisions at once."""

    name = models.CharField(max_length=64, validators=[NAME])
    kind = models.CharField(max_length=10, choices=ToolKind)
    description = models.TextField(
        max_length=4000, help_text="Description of the tool for the model."
    )
    schema = models.JSONField(
        default=dict, blank=True, help_text="JSON Schema of the arguments. Its type is object."
    )
    settings = models.JSONField(
        default=dict,
        blank=True,
        help_text="Settings of the tool's kind: a URL, an MCP server or an agent.",
    )
    credential = EncryptedTextField(
        blank=True, default="", help_text="Sent with each call. Write-only."
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    needs_approval = models.BooleanField(
        default=False, help_text="Whether a person must approve each call before it is executed."
    )
    is_idempotent = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether a call may be executed again after its agent node failed. Otherwise a "
        "person must approve the repetition.",
    )
    offered_over_mcp = models.BooleanField(
        "offered over MCP",
        default=False,
        db_default=False,
        help_text="Whether MCP clients of the tenant may call the tool, at /mcp of the gateway.",
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
