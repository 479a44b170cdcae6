"""Schemas of OpenAPI documents as JSON schemas of arguments. Pure.

OpenAPI 3.0 has words of its own (`nullable`, a boolean `exclusiveMinimum`); what is shared stands
under `#/components/schemas`, and comes along under `$defs`, so that circles stay what they are.
"""

from collections.abc import Mapping
from typing import Any

PREFIX = "#/components/schemas/"
DROPPED = frozenset({"example", "examples", "xml", "externalDocs", "discriminator", "nullable"})
MOST_DEFINITIONS = 100
MOST_PARTS = 5_000
"""Of the schemas of one operation."""
DEEPEST = 40


class WrongReference(Exception):
    """Something cannot be followed or taken along; the text says what."""


class Definitions:
    """What schemas refer to, adopted as it is met."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.adopted: dict[str, Any] = {}
        self._parts = 0

    def adopt(self, schema: Any) -> dict[str, Any]:
        """The schema in the words of JSON schema; one that is none allows everything.

        Raises WrongReference.
        """
        return self._converted(schema, 0) if isinstance(schema, dict) else {}

    def _converted(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise WrongReference("Its arguments are described at too great length for a tool.")
        if depth > DEEPEST:
            return {}
        target = schema.get("$ref")
        if isinstance(target, str):
            return self._reference(target, depth)
        converted = {
            key: self._value(key, value, depth)
            for key, value in schema.items()
            if key not in DROPPED and not (key.startswith("exclusive") and value in (True, False))
        }
        kind = converted.get("type")
        if schema.get("nullable") is True and isinstance(kind, str):
            converted["type"] = [kind, "null"]
        return converted

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if key in {"enum", "const", "default", "required"}:
            return value
        if isinstance(value, dict):
            if key in {"properties", "$defs", "patternProperties"}:
                return {
                    name: self._converted(each, depth + 1) if isinstance(each, dict) else {}
                    for name, each in value.items()
                }
            return self._converted(value, depth + 1)
        if isinstance(value, list):
            return [
                self._converted(each, depth + 1) if isinstance(each, dict) else each
                for each in value
            ]
        return value

    def _reference(self, target: str, depth: int) -> dict[str, Any]:
        found = resolve({"$ref": target}, self._document)
        name = target.removeprefix(PREFIX)
        if target == name or "/" in name:
            # It is described elsewhere in the document: written out, as often as it is met.
            return self._converted(dict(found), depth + 1)
        if len(self.adopted) >= MOST_DEFINITIONS:
            return {}
        if name not in self.adopted:
            self.adopted[name] = {}  # a circle meets it while it is being made
            self.adopted[name] = self._converted(dict(found), depth + 1)
        return {"$ref": f"#/$defs/{name}"}


def resolve(value: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `value` stands for, inside the document; empty if it is no object.

    Raises WrongReference for a reference to elsewhere, to nothing, or in a circle.
    """
    target = ""
    for _ in range(DEEPEST):
        if not isinstance(value, dict):
            return {}
        told = value.get("$ref")
        if not isinstance(told, str):
            return value
        target = told
        value = at(document, target)
    raise WrongReference(f"The reference {target[:100]!r} goes round in a circle.")


def at(document: Mapping[str, Any], pointer: str) -> Any:
    """RFC 6901, inside the document only. Raises WrongReference."""
    if not pointer.startswith("#/"):
        raise WrongReference(
            f"It refers to {pointer[:100]!r}, outside of the document: nothing is fetched."
        )
    place: Any = document
    for step in pointer.removeprefix("#/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or key not in place:
            raise WrongReference(f"It refers to {pointer[:100]!r}, which is not there.")
        place = place[key]
    return place


def argument_schema(
    properties: Mapping[str, Any], required: list[str], definitions: Definitions
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(dict.fromkeys(required))
    if definitions.adopted:
        schema["$defs"] = definitions.adopted
    return schema
