"""Resolves references within an OpenAPI document (RFC 6901). Pure: nothing is fetched."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MAX_REFERENCES = 40
"""The limit of a chain of references."""
INDEX = re.compile(r"[0-9]{1,6}")


class WrongReference(Exception):
    """A reference cannot be resolved, or a schema is too large; the text explains it."""


def resolve(value: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target of a reference, or `value` itself; empty if it is no object.

    Raises WrongReference for a reference to another document, to nothing, or in a cycle.
    """
    found: Mapping[str, Any] = {}
    for part in resolve_parts(value, document):
        found = part
    return found


def resolve_parts(value: Any, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`value` and the targets of its references, in order. Raises WrongReference."""
    target = ""
    for _ in range(MAX_REFERENCES):
        if not isinstance(value, dict):
            yield {}
            return
        yield value
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return
        target = reference
        value = find_pointer(document, target)
    raise WrongReference(f"The reference {target[:100]!r} is part of a cycle.")


def find_pointer(document: Mapping[str, Any], pointer: str) -> Any:
    """Return the value at a pointer such as `#/paths/~1pets~1%7Bid%7D/get`.

    Raises WrongReference.
    """
    if not pointer.startswith("#/"):
        raise WrongReference(
            f"It refers to {pointer[:100]!r}, outside of the document: nothing is fetched."
        )
    place: Any = document
    for step in unquote(pointer).removeprefix("#/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        index = INDEX.fullmatch(key) if isinstance(place, list) else None
        if index is not None and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict) and key in place:
            place = place[key]
        else:
            raise WrongReference(f"It refers to {pointer[:100]!r}, which does not exist.")
    return place
