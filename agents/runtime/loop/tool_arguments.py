"""Decodes the arguments of a tool call, and validates them against the tool's JSON schema. Pure.

Schemas are written by tenants and arguments by models, so that the cost of both is limited: the
steps of a validation are counted, patterns are left to the tool, and nothing is fetched.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from inference.relay.schema import ensure_shallow
from kernel.errors import InvalidJson

MAX_SCHEMA_BYTES = 64 * 1024
"""The limit of a schema as JSON: the model reads it with every request."""
MAX_ARGUMENTS_CHARS = 256 * 1024
MAX_VALIDATION_STEPS = 10_000
"""The limit of evaluated keywords: about 100 ms at worst."""
MAX_REASON_CHARS = 300

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
left: ContextVar[int] = ContextVar("left")


class WrongArguments(Exception):
    """The arguments do not match the schema; the text explains it to the model."""


class ValidationBudgetExceeded(Exception):
    """A validation takes too many steps."""


def read_arguments(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in `text`, validated against `schema`. Raises WrongArguments.

    An empty text means no arguments: some engines write `{}` so.
    """
    if len(text) > MAX_ARGUMENTS_CHARS:
        raise WrongArguments(f"The arguments are longer than {MAX_ARGUMENTS_CHARS} characters.")
    arguments = decode(text)
    problem = first_problem(arguments, schema)
    if problem:
        raise WrongArguments(problem)
    return arguments


def decode(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        ensure_shallow(text.encode())
        arguments = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WrongArguments(f"The arguments are not valid JSON: {error}.") from error
    except InvalidJson as error:
        raise WrongArguments(error.message) from error
    if not isinstance(arguments, dict):
        raise WrongArguments("The arguments are not a JSON object.")
    return arguments


def first_problem(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the first problem of `arguments` as a sentence; empty if there is none."""
    left.set(MAX_VALIDATION_STEPS)
    checker = Checker(schema, registry=Registry())
    try:
        error = best_match(checker.iter_errors(arguments))
    except (ValidationBudgetExceeded, RecursionError):
        return "The arguments are too large or too deep to be checked."
    except Unresolvable:
        return "The tool's schema has a reference that does not exist. Its owner must correct it."
    if error is None:
        return ""
    place = ".".join(str(each) for each in error.absolute_path)
    reason = error.message[:MAX_REASON_CHARS]
    return f"{place}: {reason}" if place else reason


def ensure_schema(schema: object) -> None:
    """Raises WrongArguments, with a sentence, unless `schema` is usable for a tool."""
    if not isinstance(schema, dict):
        raise WrongArguments("A JSON schema is an object.")
    if schema.get("type", "object") != "object":
        raise WrongArguments('The arguments of a tool are an object: "type" must be "object".')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = ".".join(str(each) for each in error.absolute_path)
        where = f" (at {place})" if place else ""
        raise WrongArguments(
            f"Not a JSON schema: {error.message[:MAX_REASON_CHARS]}{where}."
        ) from error
    except RecursionError as error:
        raise WrongArguments("The schema is nested too deep.") from error
    ensure_references(schema, root=schema)


def ensure_references(part: object, *, root: Mapping[str, Any]) -> None:
    """Raises WrongArguments for a reference out of the schema: nothing is fetched."""
    if isinstance(part, list):
        for each in part:
            ensure_references(each, root=root)
    if not isinstance(part, dict):
        return
    target = part.get("$ref")
    if isinstance(target, str) and not is_inside(target, root):
        raise WrongArguments(f"The schema refers to {target[:100]!r}, which is not in it.")
    for each in part.values():
        ensure_references(each, root=root)


def is_inside(target: str, root: Mapping[str, Any]) -> bool:
    if not target.startswith("#"):
        return False
    try:
        Registry().with_resource("", DRAFT202012.create_resource(root)).resolver().lookup(target)
    except Unresolvable:
        return False
    return True


def with_step_budget(keyword: Keyword) -> Keyword:
    """Wrap `keyword` so that each evaluation takes a step from the budget."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        steps = left.get() - 1
        if steps < 0:
            raise ValidationBudgetExceeded
        left.set(steps)
        return keyword(validator, value, instance, schema)

    return check


def skip(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Accept any value: a pattern may need exponential time (catastrophic backtracking), and the
    tool validates it itself.
    """


def check_additional(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    """Validate additional properties, unless they depend on patterns, which are not validated."""
    if "patternProperties" not in schema:
        yield from Draft202012Validator.VALIDATORS["additionalProperties"](
            validator, value, instance, schema
        )


def check_unique(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    """Compare serialized items: jsonschema compares pairs, which takes 40 s for 2,000 objects."""
    if not value or not isinstance(instance, list):
        return
    texts = {json.dumps(with_whole_numbers(each), sort_keys=True) for each in instance}
    if len(texts) < len(instance):
        yield ValidationError("The items of the list are not all different.")


def with_whole_numbers(value: Any) -> Any:
    """`value` with integers for whole floats, since 1.0 equals 1 in JSON."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [with_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: with_whole_numbers(each) for name, each in value.items()}
    return value


UNCHECKED = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
KEYWORDS = {
    **Draft202012Validator.VALIDATORS,
    **dict.fromkeys(UNCHECKED, skip),
    "additionalProperties": check_additional,
    "uniqueItems": check_unique,
}
Checker = extend(
    Draft202012Validator, {name: with_step_budget(keyword) for name, keyword in KEYWORDS.items()}
)
