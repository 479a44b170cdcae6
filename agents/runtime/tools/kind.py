"""What the kinds of tools have in common: how one is called, and how its settings are read."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from agents.runtime.ports import CallContext, ToolResult, ToolSpec
from inference.relay.parameters import explain

Settings = TypeVar("Settings", bound="KindSettings")


class KindSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind wants to know of a tool; a mistyped name is a mistake, not a default."""


class Kind(Protocol):
    """Carries out the tools of one kind."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises leaves of the error tree, which the model reads. Within the tool's time."""


class WrongSettings(Exception):
    """A tool's settings are not what its kind needs; the text is a sentence for people."""


def read_settings(settings: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Raises WrongSettings."""
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise WrongSettings(explain(error).message) from error
