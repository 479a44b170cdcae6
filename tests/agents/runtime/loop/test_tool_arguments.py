"""Arguments against schemas: neither may be trusted, and neither may take long."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.loop.tool_arguments import (
    MAX_ARGUMENTS_CHARS,
    WrongArguments,
    ensure_schema,
    read_arguments,
)

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_no_arguments_are_an_empty_object(text):
    assert read_arguments(text, {}) == {}


def test_arguments_that_fit_are_read():
    assert read_arguments('{"city": "Rome", "days": 2}', CITY) == {"city": "Rome", "days": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"city": ', "not valid JSON"),
        ("{'city': 'Rome'}", "not valid JSON"),
        ('{"city": NaN}', "not valid JSON"),
        ('{"city": "\ud800"}', "not valid JSON"),
        ('{"city": 1' + "0" * 5000 + "}", "not valid JSON"),
        ('{"city": 1e999}', "not valid JSON"),
        ("null", "not a JSON object"),
        ('"Rome"', "not a JSON object"),
        ("{}", "'city' is a required property"),
        ('{"city": 1}', "city: 1 is not of type 'string'"),
        ('{"city": "Rome", "days": 0}', "days: 0 is less than the minimum of 1"),
        ('{"city": "Rome", "x": 1}', "Additional properties are not allowed"),
        ('{"city":' + "[" * 100_000, "nested more than 64"),
        ('{"city": "' + "x" * MAX_ARGUMENTS_CHARS + '"}', "longer than"),
    ],
)
def test_arguments_that_do_not_fit_are_told_why(text, reason):
    with pytest.raises(WrongArguments, match=reason):
        read_arguments(text, CITY)


def test_a_long_value_is_not_repeated_in_the_reason():
    with pytest.raises(WrongArguments) as caught:
        read_arguments('{"city": [' + "1," * 5000 + "1]}", CITY)

    assert len(str(caught.value)) < 400


DOUBLING = {
    "$defs": {
        "l0": {"type": "integer"},
        **{
            f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n - 1}"}, {"$ref": f"#/$defs/l{n - 1}"}]}
            for n in range(1, 30)
        },
    },
    "properties": {"x": {"$ref": "#/$defs/l29"}},
}
LABORIOUS = {
    "a pattern that backtracks": (
        {"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}},
        '{"x": "' + "a" * 40 + '!"}',
    ),
    "names that backtrack": (
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        '{"' + "a" * 40 + '!": 1}',
    ),
    "references that double": (DOUBLING, '{"x": 1}'),
    "a circle": ({"properties": {"x": {"$ref": "#/properties/x"}}}, '{"x": 1}'),
    "itself": ({"$ref": "#"}, "{}"),
    "many of many": (
        {"properties": {"x": {"items": {"anyOf": [{"const": n} for n in range(1000)]}}}},
        '{"x": [' + "-1," * 10_000 + "-1]}",
    ),
}


@pytest.mark.parametrize(("schema", "text"), LABORIOUS.values(), ids=LABORIOUS)
def test_no_schema_holds_up_the_others(schema, text):
    started = time.thread_time()

    with suppress(WrongArguments):
        read_arguments(text, schema)

    assert time.thread_time() - started < 1


def test_nothing_is_fetched_for_a_schema():
    schema = {"properties": {"x": {"$ref": "http://127.0.0.1:1/schema"}}}

    with pytest.raises(WrongArguments, match="has a reference"):
        read_arguments('{"x": 1}', schema)


@pytest.mark.parametrize(
    "schema", [{}, CITY, {"type": "object", "$defs": {"a": {}}, "$ref": "#/$defs/a"}]
)
def test_schemas_of_objects_are_taken(schema):
    ensure_schema(schema)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ([], "A JSON schema is an object"),
        ("object", "A JSON schema is an object"),
        ({"type": "string"}, 'must be "object"'),
        ({"type": "objekt"}, 'must be "object"'),
        ({"properties": []}, "Not a JSON schema: .* .at properties"),
        ({"properties": {"x": {"type": "number?"}}}, "Not a JSON schema"),
        ({"required": "x"}, "Not a JSON schema"),
        ({"$ref": "https://example.org/x"}, "refers to 'https://example.org/x'"),
        ({"properties": {"x": {"$ref": "#/$defs/gone"}}}, "which is not in it"),
        ({"properties": {"x": {"$ref": "file:///etc/passwd"}}}, "which is not in it"),
    ],
)
def test_what_is_no_schema_of_arguments_is_refused(schema, reason):
    with pytest.raises(WrongArguments, match=reason):
        ensure_schema(schema)


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_an_object_or_refused(text):
    try:
        assert isinstance(read_arguments(text, {}), dict)
    except WrongArguments:
        return


UNIQUE = {"properties": {"a": {"uniqueItems": True}}}


@pytest.mark.parametrize(
    ("items", "differ"),
    [
        ("[1, 2, 3]", True),
        ("[1, 1.0]", False),
        ('[1, true, "1", null]', True),
        ('[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]', False),
        ('[{"a": 1}, {"a": 2}]', True),
        ("[[1], [1, 1], []]", True),
        ("[123456789012345678901234567890, 1]", True),
    ],
)
def test_items_that_must_differ_are_compared(items, differ):
    text = f'{{"a": {items}}}'
    if differ:
        read_arguments(text, UNIQUE)
    else:
        with pytest.raises(WrongArguments, match="not all different"):
            read_arguments(text, UNIQUE)


def test_many_objects_that_must_differ_take_a_moment():
    """Compared in pairs, 2,000 of them stopped the event loop for 40 s."""
    items = ", ".join(f'{{"a": {number}}}' for number in range(15_000))
    since = time.process_time()
    read_arguments(f'{{"a": [{items}]}}', UNIQUE)
    assert time.process_time() - since < 5
