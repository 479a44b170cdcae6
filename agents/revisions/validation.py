"""What a draft must be before it is stored, and again before it is published."""

from agents.errors import UnknownTools
from agents.models import Agent, Tool


def validate_draft(agent: Agent) -> None:
    """Raises ValidationError for values that no form would accept, and UnknownTools.

    Asks inside a tenant scope.
    """
    agent.full_clean(exclude=("tenant", "route", "published"), validate_constraints=False)
    if agent.tools:
        ensure_tools(agent)


def ensure_tools(agent: Agent) -> None:
    """Raises UnknownTools, naming them. Disabled ones are known: the model is not told of them."""
    there = set(Tool.objects.filter(name__in=agent.tools).values_list("name", flat=True))
    missing = [name for name in dict.fromkeys(agent.tools) if name not in there]
    if missing:
        raise UnknownTools(
            f"This tenant has no tool named {', '.join(missing[:10])}. "
            "Make it first, or take it out of the agent's tools.",
            param="tools",
        )
