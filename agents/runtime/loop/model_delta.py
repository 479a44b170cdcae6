"""The pieces of a model's answer as they stream."""

from dataclasses import dataclass
from typing import Literal

from tenants.admission.usage.records import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a streamed tool call. Engines differ: any member may be missing."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDelta:
    """A piece of a model's response. One has the `finish_reason`, and the last one the usage."""

    text: str = ""
    reasoning: str = ""
    """A piece of the reasoning before the answer."""
    reasoning_member: Literal["reasoning_content", "reasoning", ""] = ""
    """The member in which the engine wrote the reasoning."""
    refusal: str = ""
    """A piece of the explanation why the model does not answer."""
    calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
