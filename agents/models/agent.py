"""Agents: a draft that people edit, and immutable revisions that tenants are served."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.models.choices import BusyPolicy, Overflow, ResponseCacheMode
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
"""The fields that a revision stores."""


def validate_parameters(value: object) -> None:
    try:
        check_parameters(value)
    except InvalidParameter as error:
        raise ValidationError(error.message) from error


class Configuration(models.Model):
    """The fields that a draft and a revision have in common."""

    instructions = models.TextField(
        blank=True,
        max_length=MAX_INSTRUCTIONS_CHARS,
        help_text="The system message of every conversation.",
    )
    route = models.ForeignKey("inference.ModelRoute", on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_parameters],
        help_text='Default sampling parameters as JSON, for example {"temperature": 0.2}.',
    )
    variables = models.JSONField(
        default=dict,
        blank=True,
        help_text="Variables of the instructions, written as {{name}}, and the default of each.",
    )
    tools = ArrayField(
        models.CharField(max_length=64),
        default=list,
        blank=True,
        help_text="Names of the tenant's tools that the model may call.",
    )
    max_steps = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Maximum number of model calls in one run.",
    )
    max_tool_calls = models.PositiveSmallIntegerField(
        default=16,
        validators=[MaxValueValidator(1000)],
        help_text="Maximum number of tool calls in one run.",
    )
    max_run_seconds = models.PositiveIntegerField(
        default=600,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="Seconds after which a run ends as incomplete.",
    )
    max_run_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Maximum prompt and completion tokens of all model calls of a run. Empty: only "
        "quotas limit them.",
    )
    busy_policy = models.CharField(
        max_length=10,
        choices=BusyPolicy,
        default=BusyPolicy.DEFAULT,
        blank=True,
        help_text="What happens to a new run while another run of its conversation is in progress.",
    )
    response_cache = models.CharField(
        max_length=15,
        choices=ResponseCacheMode,
        default=ResponseCacheMode.OFF,
        help_text="Which requests may be served from the response cache.",
    )
    cache_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(30 * 86_400)],
        help_text="Seconds for which a response stays in the response cache.",
    )
    overflow = models.CharField(
        max_length=10,
        choices=Overflow,
        default=Overflow.DROP,
        help_text="What happens to the oldest items if a conversation exceeds the context window.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError. Only forms check the `max_length` of a TextField."""
        if len(self.instructions) > MAX_INSTRUCTIONS_CHARS:
            raise ValidationError(f"Instructions have at most {MAX_INSTRUCTIONS_CHARS} characters.")
        try:
            variables = check_variables(self.variables or {})
        except InvalidParameter as error:
            raise ValidationError({"variables": error.message}) from error
        if sentence := unknown_variables(self.instructions, variables):
            raise ValidationError({"instructions": sentence})


class Agent(TenantOwned, Configuration):
    """A named configuration of a model, addressed as `model: "<slug>"`, with its draft."""

    slug = models.SlugField(max_length=50, help_text="Clients send this as `model`.")
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
    is_paused = models.BooleanField(
        "paused",
        default=False,
        editable=False,
        help_text="A paused agent accepts no new requests. What it has accepted is executed.",
    )
    capabilities = ArrayField(
        models.CharField(max_length=63),
        default=list,
        blank=True,
        help_text="What tasks may require of an agent, for example translate.de-en.",
    )
    capability_schemas = models.JSONField(
        default=dict,
        blank=True,
        help_text="JSON schemas of the input and output of capabilities, for example "
        '{"translate.de-en": {"input": {"type": "object", "required": ["text"]}}}.',
    )
    subscriptions = ArrayField(
        models.CharField(max_length=63),
        default=list,
        blank=True,
        help_text="The topics whose messages the agent receives, for example orders.new.",
    )
    placement = models.JSONField(
        default=dict,
        blank=True,
        help_text="The agent nodes that execute its background runs, for example "
        '{"labels": {"gpu": "a100"}, "zone": "eu-1", "replicas": 2}. Empty: all nodes.',
    )
    offered_over_mcp = models.BooleanField(
        "offered over MCP",
        default=False,
        db_default=False,
        help_text="Whether MCP clients of the tenant may call the agent as a tool, at /mcp of the "
        "gateway.",
    )
    offered_over_a2a = models.BooleanField(
        "offered over A2A",
        default=False,
        db_default=False,
        help_text="Agents of others may send it tasks by the A2A protocol, with an API key. Its "
        "agent card is public.",
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
        """Return whether the draft differs from the published revision."""
        revision = self.published
        return revision is None or any(
            getattr(self, name) != getattr(revision, name) for name in FROZEN
        )


class AgentRevision(TenantOwned, Configuration):
    """A published state of an agent. It is immutable: a database trigger rejects every UPDATE."""

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
