"""What a hand-off is made of. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from agents.runtime.tools.settings import KindSettings

MESSAGE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"message": {"type": "string", "description": "What the agent is asked."}},
    "required": ["message"],
    "additionalProperties": False,
}


class AgentSettings(KindSettings, frozen=True):
    """To whom it hands over."""

    agent: Annotated[str, Meta(min_length=1, max_length=50)]
    """The slug of an agent of the same tenant."""
