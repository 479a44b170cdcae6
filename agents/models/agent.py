"""Agents: a draft that people edit, and immutable revisions that tenants are served."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.models.choices import BusyPolicy, Overflow, ResponseCache
from agents.runtime.catalog.variables import check_variables, unknown_variables
from inference.relay.schema import check_parameters
from kernel.errors import InvalidParameter
from tenants.scoping import TenantManager, TenantOwned

MAX_INSTRUCTIONS_CHARS = 100_000
FROZEN = (
    *("instructions", "route_id", "parameters", "variables", "tools"),
    *("max_steps", "max_tool_calls", "max_run_seconds", "max_run_tokens"),
    *("busy_policy", "response_cache", "cache_seconds", "overflow"),
)
"""What a revision holds on to."""


def validate_parameters(value: object) -> None:
    try:
        check_parameters(value)
    except InvalidParameter as error:
        raise ValidationError(error.message) from error


class Configuration(models.Model):
    """What an agent is made of; the draft and every revision hold one."""

    instructions = models.TextField(
        blank=True,
        max_length=MAX_INSTRUCTIONS_CHARS,
        help_text="What the model is told before every conversation.",
    )
    route = models.ForeignKey("inference.ModelRoute", on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_parameters],
        help_text='Defaults of generation as JSON, for example {"temperature": 0.2}.',
    )
    variables = models.JSONField(
        default=dict,
        blank=True,
        help_text="Names used as {{name}} in the instructions, with the text each has by default.",
    )
    tools = ArrayField(
        models.CharField(max_length=64),
        default=list,
        blank=True,
        help_text="Names of this tenant's tools that the model may call.",
    )
    max_steps = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Times the model is asked in one run.",
    )
    max_tool_calls = models.PositiveSmallIntegerField(
        default=16, validators=[MaxValueValidator(1000)], help_text="In one run."
    )
    max_run_seconds = models.PositiveIntegerField(
        default=600,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="After which a run is ended as incomplete.",
    )
    max_run_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Prompt and answers of all steps together. Empty: as the quotas allow.",
    )
    busy_policy = models.CharField(
        max_length=10,
        choices=BusyPolicy,
        default=BusyPolicy.DOOR,
        blank=True,
        help_text="A message that comes while an answer of the same conversation is running.",
    )
    response_cache = models.CharField(
        max_length=15, choices=ResponseCache, default=ResponseCache.OFF
    )
    cache_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(30 * 86_400)],
        help_text="For which an answer may be given again.",
    )
    overflow = models.CharField(
        max_length=10,
        choices=Overflow,
        default=Overflow.DROP,
        help_text="The beginning of a conversation that does not fit the context any more.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError: `max_length` of a text is looked at by forms only."""
        if len(self.instructions) > MAX_INSTRUCTIONS_CHARS:
            raise ValidationError(f"Instructions have at most {MAX_INSTRUCTIONS_CHARS} characters.")
        try:
            variables = check_variables(self.variables or {})
        except InvalidParameter as error:
            raise ValidationError({"variables": error.message}) from error
        if sentence := unknown_variables(self.instructions, variables):
            raise ValidationError({"instructions": sentence})


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
            getattr(self, name) != getattr(revision, name) for name in FROZEN
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
        verbose_name = "revision"
        constraints = (
            models.UniqueConstraint(fields=("agent", "number"), name="revision_number_once"),
        )

    def __str__(self) -> str:
        return f"{self.agent}@{self.number}"
