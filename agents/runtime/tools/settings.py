"""Reads the settings of a tool for its kind. Pure."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from inference.relay.schema import explain

Settings = TypeVar("Settings", bound=msgspec.Struct)


class KindSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one tool kind. Unknown names are errors."""


class WrongSettings(Exception):
    """The settings do not match the tool's kind; the text is a sentence for people."""


def read_settings(settings: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Raises WrongSettings."""
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise WrongSettings(explain(error).message) from error
