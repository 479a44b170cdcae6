"""Schemas of OpenAPI documents as JSON schemas of arguments. Pure.

OpenAPI 3.0 has words of its own (`nullable`, a boolean `exclusiveMinimum`); what is shared stands
under `#/components/schemas`, and comes along under `$defs`, so that circles stay what they are.
"""

from collections.abc import Mapping
from typing import Any

PREFIX = "#/components/schemas/"
DROPPED = frozenset({"example", "examples", "xml", "externalDocs", "discriminator", "nullable"})
MOST_DEFINITIONS = 100
DEEPEST = 40


class Definitions:
    """What schemas refer to, adopted as it is met."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.adopted: dict[str, Any] = {}

    def adopt(self, schema: Any) -> dict[str, Any]:
        """The schema in the words of JSON schema; one that cannot be read allows everything."""
        return self._converted(schema, 0) if isinstance(schema, dict) else {}

    def _converted(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
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
        name = target.removeprefix(PREFIX)
        if target == name or "/" in name or len(self.adopted) >= MOST_DEFINITIONS:
            return {}
        if name not in self.adopted:
            self.adopted[name] = {}  # a circle meets it while it is being made
            found = resolve({"$ref": target}, self._document)
            self.adopted[name] = self._converted(dict(found), depth + 1)
        return {"$ref": f"#/$defs/{name}"}


def resolve(value: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `value` stands for, if it is a reference inside the document; empty for others."""
    for _ in range(DEEPEST):
        if not isinstance(value, dict):
            return {}
        target = value.get("$ref")
        if not isinstance(target, str):
            return value
        value = at(document, target)
    return {}


def at(document: Mapping[str, Any], pointer: str) -> Any:
    """RFC 6901, inside the document only."""
    place: Any = document if pointer.startswith("#/") else None
    for step in pointer.removeprefix("#/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        place = place.get(key) if isinstance(place, dict) else None
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
