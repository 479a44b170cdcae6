"""The settings and the arguments of a hand-off. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from agents.runtime.tools.settings import KindSettings

MESSAGE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"message": {"type": "string", "description": "The request to the agent."}},
    "required": ["message"],
    "additionalProperties": False,
}


class AgentSettings(KindSettings, frozen=True):
    """The target of a hand-off."""

    agent: Annotated[str, Meta(min_length=1, max_length=50)]
    """The slug of an agent of the same tenant."""
