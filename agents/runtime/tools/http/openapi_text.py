"""The text of an OpenAPI document as JSON values: it is written as JSON or as YAML. Pure.

A stranger wrote it. YAML can nest without end and repeat itself a billion times over in a few
lines, so its events are looked through before anything is made of them.
"""

import math
from typing import Any

import msgspec
import yaml

from inference.relay.schema import ensure_shallow
from kernel.errors import InvalidJson

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
DEEPEST = 100
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where the wheel has it: ten times as fast."""


class WrongDocument(Exception):
    """It is no OpenAPI document that can be read; the text says why."""


def read_text(text: bytes) -> Any:
    """What is written there, as JSON knows it. Raises WrongDocument."""
    if len(text) > MAX_DOCUMENT_BYTES:
        raise WrongDocument(f"The document is longer than {MAX_DOCUMENT_BYTES // 2**20} MiB.")
    try:
        ensure_shallow(text)
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidJson):
        # YAML in braces looks like JSON. Of what is neither, its parser knows the line.
        return read_yaml(text)


def read_yaml(text: bytes) -> Any:
    try:
        ensure_plain(text)
        return as_json(yaml.load(text, Loader=LOADER))  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise WrongDocument(f"The document is neither JSON nor YAML{place_of(error)}.") from error
    except (UnicodeError, ValueError, TypeError, RecursionError) as error:
        # PyYAML raises what the constructors of its values raise: for dates that are none.
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
        if depth > DEEPEST:
            raise WrongDocument(f"The document is nested deeper than {DEEPEST} levels.")


def as_json(value: Any) -> Any:
    """YAML has dates, bytes, and keys that are numbers; JSON has none of them."""
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
