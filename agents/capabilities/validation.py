"""Validates the capabilities of an agent, with sentences for forms and the API. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agents.runtime.loop.tool_arguments import MAX_SCHEMA_BYTES, WrongArguments, ensure_schema
from agents.runtime.loop.tool_output import storable_json
from agents.schema.routing.capabilities import CapabilitySchemas
from agents.schema.routing.placement import CAPABILITY, CAPABILITY_RULE
from kernel.errors import InvalidParameter

MAX_CAPABILITIES = 64


def check_capabilities(words: Sequence[str]) -> None:
    """Raises InvalidParameter for words that are no capabilities, or that repeat."""
    for word in words:
        if not CAPABILITY.fullmatch(word):
            raise InvalidParameter(
                f"{word[:80]!r} is not a capability. {CAPABILITY_RULE}", param="capabilities"
            )
    if len(set(words)) < len(words):
        raise InvalidParameter("Name each capability once.", param="capabilities")
    if len(words) > MAX_CAPABILITIES:
        raise InvalidParameter(
            f"An agent has at most {MAX_CAPABILITIES} capabilities.", param="capabilities"
        )


def check_schemas(schemas: object, *, words: Sequence[str]) -> None:
    """Raises InvalidParameter for schemas that are not valid, or of no capability in `words`."""
    for word, each in read_schemas(schemas).items():
        if word not in words:
            raise InvalidParameter(
                f"There are schemas for {word[:80]!r}, which is no capability of this agent. "
                "Add the capability, or remove its schemas.",
                param="capability_schemas",
            )
        for side, schema in (("input", each.input), ("output", each.output)):
            if schema is not None:
                check_schema(schema, place=f"{word}.{side}")


def check_schema(schema: Mapping[str, Any], *, place: str) -> None:
    problem = ""
    try:
        ensure_schema(schema)
        if storable_json(schema) != schema:
            problem = "It contains characters that cannot be stored."
        elif len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
            problem = f"A schema has at most {MAX_SCHEMA_BYTES // 1024} KiB as JSON."
    except WrongArguments as error:
        problem = str(error)
    if problem:
        raise InvalidParameter(f"{place}: {problem}", param="capability_schemas")


def read_schemas(value: object) -> Mapping[str, CapabilitySchemas]:
    """Return the schemas by capability. Raises InvalidParameter."""
    try:
        return msgspec.convert(value, dict[str, CapabilitySchemas])
    except msgspec.ValidationError as error:
        raise InvalidParameter(
            "The schemas are a JSON object such as "
            '{"translate": {"input": {"type": "object"}}}: ' + f"{error}.",
            param="capability_schemas",
        ) from error
