"""Parses the text of an OpenAPI document, which is JSON or YAML, to JSON values. Pure.

The text is not trusted. YAML can nest without limit, and multiply itself with aliases, so that its
events are checked before values are built from them.
"""

import math
from typing import Any

import msgspec
import yaml

from inference.relay.schema import ensure_shallow
from kernel.errors import InvalidJson

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader if the wheel has it: ten times as fast."""


class WrongDocument(Exception):
    """The text is not a readable OpenAPI document; the message explains it."""


def read_text(text: bytes) -> Any:
    """Return the JSON values of the text. Raises WrongDocument."""
    if len(text) > MAX_DOCUMENT_BYTES:
        raise WrongDocument(f"The document is longer than {MAX_DOCUMENT_BYTES // 2**20} MiB.")
    try:
        ensure_shallow(text)
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidJson):
        # YAML in braces looks like JSON. For text that is neither, YAML's parser names the line.
        return read_yaml(text)


def read_yaml(text: bytes) -> Any:
    try:
        ensure_plain(text)
        return as_json(yaml.load(text, Loader=LOADER))  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise WrongDocument(f"The document is neither JSON nor YAML{place_of(error)}.") from error
    except (UnicodeError, ValueError, TypeError, RecursionError) as error:
        # PyYAML passes on the errors of value constructors, for example of invalid dates.
        raise WrongDocument("The document is neither JSON nor YAML.") from error


def ensure_plain(text: bytes) -> None:
    """Raises WrongDocument for YAML that is deep, or that repeats parts of itself."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise WrongDocument("The document has YAML aliases (*name). Write out what they mean.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise WrongDocument(f"The document is nested deeper than {MAX_DEPTH} levels.")


def as_json(value: Any) -> Any:
    """Return a YAML value as JSON, which has no dates, bytes or numbers as keys."""
    match value:
        case dict():
            return {str(key): as_json(each) for key, each in value.items()}
        case list() | set():
            return [as_json(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def place_of(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": see line {mark.line + 1}" if mark is not None else ""
