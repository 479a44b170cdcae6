"""Agents: a draft that people edit, and immutable revisions that tenants are served."""

from django.core.exceptions import ValidationError
from django.db import models

from inference.relay.parameters import check_parameters
from kernel.errors import InvalidParameter
from tenants.scoping import TenantManager, TenantOwned

LONGEST_INSTRUCTIONS = 100_000


def validate_parameters(value: object) -> None:
    try:
        check_parameters(value)
    except InvalidParameter as error:
        raise ValidationError(error.message) from error


class Configuration(models.Model):
    """What an agent is made of; the draft and every revision hold one."""

    instructions = models.TextField(
        blank=True,
        max_length=LONGEST_INSTRUCTIONS,
        help_text="What the model is told before every conversation.",
    )
    route = models.ForeignKey("inference.ModelRoute", on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_parameters],
        help_text='Defaults of generation as JSON, for example {"temperature": 0.2}.',
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError: `max_length` of a text is looked at by forms only."""
        if len(self.instructions) > LONGEST_INSTRUCTIONS:
            raise ValidationError(f"Instructions have at most {LONGEST_INSTRUCTIONS} characters.")


class Agent(TenantOwned, Configuration):
    """A named configuration of a model, addressed as `model: "<slug>"`. These are its drafts."""

    slug = models.SlugField(max_length=50, help_text="Tenants write this as the model.")
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=500, blank=True)
    published = models.ForeignKey(
        "agents.AgentRevision",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name="published revision",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = TenantManager["Agent"]()

    class Meta:
        ordering = ("tenant", "slug")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "slug"), name="agent_once_per_tenant"),
        )

    def __str__(self) -> str:
        return self.slug

    def has_unpublished_changes(self) -> bool:
        """Whether the draft differs from what tenants are served."""
        revision = self.published
        return revision is None or any(
            getattr(self, name) != getattr(revision, name)
            for name in ("instructions", "route_id", "parameters")
        )


class AgentRevision(TenantOwned, Configuration):
    """One published state of an agent. A trigger refuses every UPDATE."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True, help_text="What changed, and why.")
    published_by = models.ForeignKey(
        "tenants.User",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
    )
    published_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["AgentRevision"]()

    class Meta:
        ordering = ("agent", "-number")
        constraints = (
            models.UniqueConstraint(fields=("agent", "number"), name="revision_number_once"),
        )

    def __str__(self) -> str:
        return f"{self.agent}@{self.number}"
