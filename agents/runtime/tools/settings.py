"""How the settings of a tool are read by its kind. Pure."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from inference.relay.schema import explain

Settings = TypeVar("Settings", bound=msgspec.Struct)


class KindSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind wants to know of a tool; a mistyped name is a mistake, not a default."""


class WrongSettings(Exception):
    """A tool's settings are not what its kind needs; the text is a sentence for people."""


def read_settings(settings: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Raises WrongSettings."""
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise WrongSettings(explain(error).message) from error
