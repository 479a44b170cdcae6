"""Validates a draft before it is saved and before it is published."""

from django.core.exceptions import ValidationError

from agents.capabilities.subscriptions import check_subscriptions
from agents.capabilities.validation import check_capabilities, check_schemas
from agents.errors import UnknownTools
from agents.models import Agent, Tool
from agents.schema.routing.placement import read_placement
from kernel.errors import InvalidParameter


def validate_draft(agent: Agent) -> None:
    """Raises ValidationError for invalid values, and UnknownTools. Needs a tenant scope."""
    agent.full_clean(exclude=("tenant", "route", "published"), validate_constraints=False)
    validate_routing(agent)
    if agent.tools:
        ensure_tools(agent)


def validate_routing(agent: Agent) -> None:
    """Validate what decides which tasks and messages an agent gets, and on which nodes.

    Raises ValidationError.
    """
    try:
        check_capabilities(agent.capabilities)
        check_schemas(agent.capability_schemas, words=agent.capabilities)
        read_placement(agent.placement)
        check_subscriptions(agent.subscriptions)
    except InvalidParameter as error:
        raise ValidationError({str(error.param): error.message}) from error


def ensure_tools(agent: Agent) -> None:
    """Raises UnknownTools with the names of missing tools. Disabled tools are allowed."""
    there = set(Tool.objects.filter(name__in=agent.tools).values_list("name", flat=True))
    missing = [name for name in dict.fromkeys(agent.tools) if name not in there]
    if missing:
        raise UnknownTools(
            f"This tenant has no tool named {', '.join(missing[:10])}. "
            "Create it first, or remove it from the agent's tools.",
            param="tools",
        )
