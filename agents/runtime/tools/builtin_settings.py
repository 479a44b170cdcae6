"""The built-in tools, with their descriptions and schemas for models. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.runtime.tools.settings import KindSettings, WrongSettings
from agents.schema.routing.messages import MAX_REPLY_SECONDS, TOPIC, TOPIC_RULE

MAX_ALLOWED = 100
SENDING_FUNCTIONS = frozenset({"send_message", "publish", "ask_agent"})
"""The functions that send messages, for which they need a run."""


class BuiltinSettings(KindSettings, frozen=True):
    """The name of a built-in tool, and whom it may send messages to."""

    function: Literal["time", "calculator", "send_message", "publish", "ask_agent"]
    agents: tuple[str, ...] | None = None
    """The agents to which `send_message` and `ask_agent` may send; None for all."""
    topics: tuple[str, ...] | None = None
    """The topics to which `publish` may send; None for all."""

    @property
    def sends(self) -> bool:
        """Whether the tool sends messages, for which it needs a run."""
        return self.function in SENDING_FUNCTIONS


def ensure_builtin_settings(settings: BuiltinSettings) -> None:
    """Raises WrongSettings for members that the function does not have, or that are not valid."""
    if settings.agents is not None and settings.function not in {"send_message", "ask_agent"}:
        raise WrongSettings("`agents` is a setting of `send_message` and `ask_agent` only.")
    if settings.topics is not None and settings.function != "publish":
        raise WrongSettings("`topics` is a setting of `publish` only.")
    for names in (settings.agents or (), settings.topics or ()):
        if len(names) > MAX_ALLOWED:
            raise WrongSettings(f"A tool names at most {MAX_ALLOWED} receivers.")
    for topic in settings.topics or ():
        if not TOPIC.fullmatch(topic):
            raise WrongSettings(f"{topic[:80]!r} is not a topic. {TOPIC_RULE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """The description and the schema of a built-in tool, for models."""

    description: str
    schema: Mapping[str, Any]


AGENT = {"type": "string", "description": "The short name of the agent."}
CONTENT = {"type": "string", "description": "The text of the message."}


def message_schema(**properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a tool that sends a message. A timeout is optional."""
    return {
        "type": "object",
        "properties": {**properties, "content": CONTENT},
        "required": [*(name for name in properties if name != "timeout_seconds"), "content"],
        "additionalProperties": False,
    }


BUILTINS: Mapping[str, Builtin] = {
    "send_message": Builtin(
        description="Sends a message to another agent, which works on it later. The output says "
        "whether it was delivered; there is no reply.",
        schema=message_schema(agent=AGENT),
    ),
    "publish": Builtin(
        description="Sends a message to all agents that subscribe to a topic.",
        schema=message_schema(topic={"type": "string", "description": "The name of the topic."}),
    ),
    "ask_agent": Builtin(
        description="Sends a message to another agent and waits for its reply, which is the "
        "output.",
        schema=message_schema(
            agent=AGENT,
            timeout_seconds={
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_REPLY_SECONDS,
                "description": "How long to wait for the reply.",
            },
        ),
    ),
    "time": Builtin(
        description="The current date and time, with the day of the week, in a time zone.",
        schema={
            "type": "object",
            "properties": {
                "zone": {
                    "type": "string",
                    "description": "A name of the IANA database, for example Europe/Berlin.",
                }
            },
            "additionalProperties": False,
        },
    ),
    "calculator": Builtin(
        description="Evaluates an arithmetic expression, for example (3 + 4.5) * 2 ** 8.",
        schema={
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
            "additionalProperties": False,
        },
    ),
}
