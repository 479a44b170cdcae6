"""Converts schemas of OpenAPI documents to JSON schemas of the arguments of a request. Pure.

OpenAPI 3.0 has keywords of its own (`nullable`, a boolean `exclusiveMinimum`). Targets of
references are copied to `$defs`, so that cycles are preserved. A `readOnly` property is not part
of a request, and is removed.
"""

import re
from collections.abc import Mapping
from typing import Any

from agents.runtime.tools.http.openapi_references import WrongReference, resolve, resolve_parts

__all__ = ["Definitions", "WrongReference", "argument_schema", "resolve"]

DROPPED = frozenset(
    {"example", "examples", "xml", "externalDocs", "discriminator", "nullable", "readOnly"}
)
MAPPINGS = frozenset(
    {"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"}
)
"""Keywords whose members are names, not keywords."""
VALUES = frozenset({"enum", "const", "default", "required", "dependentRequired"})
COMPOSITIONS = ("allOf", "anyOf", "oneOf")
LIMITS = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
MAX_DEFINITIONS = 100
MAX_PARTS = 5_000
"""The limit of schemas of one operation."""
MAX_LOOKUPS = 50_000
"""The limit of properties of one operation that are checked for `readOnly`."""
MAX_DEPTH = 40
TOO_LONG = "The schema of its arguments is too large for a tool."

Schema = dict[str, Any]


class Definitions:
    """Converts the schemas of one document, and collects the targets of their references."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._has_siblings = not str(document.get("openapi", "")).startswith("3.0")
        """Whether keywords beside a `$ref` apply; OpenAPI 3.0 ignores them."""
        self._names: dict[str, str] = {}
        self.adopted: Schema = {}
        self._parts = 0
        self._lookups = 0

    def adopt(self, schema: Any) -> Schema:
        """Return the schema as a JSON schema; an invalid one allows everything.

        Raises WrongReference.
        """
        return self._converted(schema, 0) if isinstance(schema, dict) else {}

    def is_read_only(self, schema: Any) -> bool:
        """Return whether a property, or the target of its reference, is for responses only."""
        if not isinstance(schema, dict):
            return False
        return any(part.get("readOnly") is True for part in resolve_parts(schema, self._document))

    def read_only_names(self, schema: Schema) -> frozenset[str]:
        """Return the properties of an object that are `readOnly`, those of its `allOf` included."""
        names: set[str] = set()
        seen: set[int] = set()
        waiting: list[Any] = [schema]
        while waiting:
            for part in resolve_parts(waiting.pop(), self._document):
                if id(part) in seen:
                    break
                seen.add(id(part))
                properties = part.get("properties")
                for name, each in properties.items() if isinstance(properties, dict) else ():
                    self._count_lookup()
                    if self.is_read_only(each):
                        names.add(name)
                waiting += listed(part.get("allOf"))
        return frozenset(names)

    def _count_lookup(self) -> None:
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            raise WrongReference(TOO_LONG)

    def _converted(
        self, schema: Schema, depth: int, hidden: frozenset[str] = frozenset()
    ) -> Schema:
        """`hidden` are properties of this object that another schema marks as `readOnly`."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise WrongReference(TOO_LONG)
        if depth > MAX_DEPTH:
            return {}
        target = schema.get("$ref")
        if isinstance(target, str):
            return self._reference(schema, target, depth)
        if "properties" in schema or "allOf" in schema:
            hidden |= self.read_only_names(schema)
        converted = {
            key: self._value(key, value, depth, hidden)
            for key, value in schema.items()
            if key not in DROPPED and not key.startswith("x-")
        }
        without_hidden(converted, hidden)
        with_exclusive_limits(converted)
        return nullable(converted) if schema.get("nullable") is True else converted

    def _value(self, key: str, value: Any, depth: int, hidden: frozenset[str]) -> Any:
        if key in VALUES:
            return value
        if isinstance(value, dict):
            if key in MAPPINGS:
                return {
                    name: self._converted(each, depth + 1) if isinstance(each, dict) else {}
                    for name, each in value.items()
                    if not (key == "properties" and name in hidden)
                }
            return self._converted(value, depth + 1)
        if isinstance(value, list):
            of_the_same = hidden if key in COMPOSITIONS else frozenset()
            return [
                self._converted(each, depth + 1, of_the_same) if isinstance(each, dict) else each
                for each in value
            ]
        return value

    def _reference(self, schema: Schema, target: str, depth: int) -> Schema:
        found = resolve({"$ref": target}, self._document)
        name = self._names.get(target)
        if name is None:
            if len(self._names) >= MAX_DEFINITIONS:
                return {}
            name = self._names[target] = self._new_name(target)
            self.adopted[name] = {}  # a cyclic reference finds it during the conversion
            self.adopted[name] = self._converted(dict(found), depth + 1)
        converted: Schema = {"$ref": f"#/$defs/{name}"}
        if self._has_siblings:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            converted |= self._converted(beside, depth + 1) if beside else {}
        elif isinstance(schema.get("description"), str):
            converted["description"] = schema["description"]
        return nullable(converted) if schema.get("nullable") is True else converted

    def _new_name(self, target: str) -> str:
        """Return a name that needs no escapes in a JSON pointer."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", target.rpartition("/")[2])[:60] or "schema"
        taken = set(self._names.values())
        return plain if plain not in taken else f"{plain}_{len(taken)}"


def without_hidden(schema: Schema, hidden: frozenset[str]) -> None:
    required = schema.get("required")
    if not hidden or not isinstance(required, list):
        return
    schema["required"] = [each for each in required if each not in hidden]
    if not schema["required"]:
        del schema["required"]


def with_exclusive_limits(schema: Schema) -> None:
    """OpenAPI 3.0: `minimum: 5` with `exclusiveMinimum: true`. JSON schema: the limit itself."""
    for limit, exclusive in LIMITS:
        if not isinstance(schema.get(exclusive), bool):
            continue
        if schema.pop(exclusive) and limit in schema:
            schema[exclusive] = schema.pop(limit)


def nullable(schema: Schema) -> Schema:
    """Return the schema, with null allowed as well."""
    kind = schema.get("type")
    if isinstance(kind, str):
        allowed = schema.get("enum")
        more = (
            {"enum": [*allowed, None]} if isinstance(allowed, list) and None not in allowed else {}
        )
        return {**schema, "type": [kind, "null"], **more}
    if "$ref" in schema or any(key in schema for key in COMPOSITIONS):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def argument_schema(
    properties: Mapping[str, Any], required: list[str], definitions: Definitions
) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(dict.fromkeys(required))
    if definitions.adopted:
        schema["$defs"] = definitions.adopted
    return schema
