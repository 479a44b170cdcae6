"""References inside of an OpenAPI document (RFC 6901). Pure: nothing is fetched."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MAX_REFERENCES = 40
"""Of a chain, in which one refers to the next."""
INDEX = re.compile(r"[0-9]{1,6}")


class WrongReference(Exception):
    """Something cannot be followed or taken along; the text says what."""


def resolve(value: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `value` stands for, inside the document; empty if it is no object.

    Raises WrongReference for a reference to elsewhere, to nothing, or in a circle.
    """
    found: Mapping[str, Any] = {}
    for part in resolve_parts(value, document):
        found = part
    return found


def resolve_parts(value: Any, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`value` and what it refers to, one after the other. Raises WrongReference."""
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
    raise WrongReference(f"The reference {target[:100]!r} goes round in a circle.")


def find_pointer(document: Mapping[str, Any], pointer: str) -> Any:
    """What stands at a pointer such as `#/paths/~1pets~1%7Bid%7D/get`. Raises WrongReference."""
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
            raise WrongReference(f"It refers to {pointer[:100]!r}, which is not there.")
    return place
