"""OpenAPI documents: their operations as tools, and documents that mean harm."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.loop.tool_arguments import WrongArguments, read_arguments
from agents.runtime.tools.http.openapi import WrongDocument, import_operations, read_document
from agents.runtime.tools.http.request import build
from agents.runtime.tools.http.settings import HttpSettings
from agents.runtime.tools.settings import read_settings

PETS = json.loads((Path(__file__).parents[3] / "fixtures" / "pets_openapi.json").read_text())


@pytest.fixture
def pets():
    imported = import_operations(read_document(json.dumps(PETS).encode()))
    return {tool.tool_name: tool for tool in imported.tools}


def request_of(tool, arguments):
    checked = read_arguments(json.dumps(arguments), tool.schema)
    return build(read_settings(tool.settings, HttpSettings), checked, "")


def test_operations_become_tools_under_names_that_models_can_call(pets):
    assert list(pets) == ["pets_get", "replace_pet", "post_pets", "delete_pets"]
    assert pets["pets_get"].description == "One pet"
    assert pets["post_pets"].description == "POST /pets"


def test_parameters_go_where_they_belong(pets):
    asked = request_of(pets["pets_get"], {"id": 3, "fields": ["a", "b"], "X-Trace": "t"})

    assert (asked.method, asked.url) == (
        "GET",
        "https://eu.pets.example/v2/pets/3?fields=a&fields=b",
    )
    assert asked.headers["x-trace"] == "t"
    assert "Authorization" not in pets["pets_get"].schema["properties"]


def test_the_fields_of_a_body_are_arguments_beside_the_others(pets):
    asked = request_of(pets["replace_pet"], {"id": 3, "dry": True, "name": "Rex", "nick": None})

    assert asked.url == "https://eu.pets.example/v2/pets/3?dry=true"
    assert json.loads(asked.body) == {"name": "Rex", "nick": None}


def test_a_body_that_is_no_object_is_one_argument(pets):
    asked = request_of(pets["post_pets"], {"body": [{"name": "Rex"}]})

    assert (asked.url, json.loads(asked.body)) == (
        "https://eu.pets.example/v2/pets",
        [{"name": "Rex"}],
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pets_get", {}),
        ("pets_get", {"id": "x"}),
        ("replace_pet", {"id": 1}),
        ("replace_pet", {"id": 1, "name": "Rex", "mother": {"name": 5}}),
        ("post_pets", {"body": [{}]}),
    ],
)
def test_schemas_come_along_with_what_they_refer_to(pets, name, arguments):
    with pytest.raises(WrongArguments):
        request_of(pets[name], arguments)


def test_what_cannot_be_a_tool_is_said():
    parameter = {"name": "s", "in": "body", "required": True}
    paths = {"/pets": {"delete": {"parameters": [parameter]}}}

    imported = import_operations({**PETS, "paths": paths})

    assert [(each.name, each.reason) for each in imported.skipped] == [
        ("delete/pets", "The parameter 's' has the unknown place 'body'.")
    ]


def test_a_relative_server_is_one_of_where_the_document_came_from():
    document = {**PETS, "servers": [{"url": "/api"}]}

    tool = import_operations(document, source="https://pets.example/docs/openapi.json").tools[0]

    assert tool.settings["url"] == "https://pets.example/api/pets/{id}"


def test_names_that_would_be_one_are_told_apart():
    paths = {"/a.b": {"get": {}}, "/a-b": {"get": {"operationId": "get/a.b"}}}

    names = [tool.tool_name for tool in import_operations({**PETS, "paths": paths}).tools]

    assert names == ["get_a_b", "get_a_b_2"]


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"openapi: 3.0.0", b"[]", b"{}", b'{"openapi": 3}', b'{"swagger": "2.0"}', b"\xff"),
        b"[" * 100_000,
        b'{"openapi": "3.1.0", "x": "' + b"x" * 5_000_000 + b'"}',
    ],
)
def test_what_is_no_document_is_refused(text):
    with pytest.raises(WrongDocument):
        read_document(text)


@pytest.mark.parametrize(
    "changed",
    [
        {"servers": []},
        {"servers": [{"url": "file:///etc/"}]},
        {"servers": "x"},
        {"paths": {}},
        {"paths": []},
        {"paths": {f"/{n}": {"get": {}} for n in range(600)}},
    ],
)
def test_a_document_without_server_or_operations_is_refused(changed):
    with pytest.raises(WrongDocument):
        import_operations({**PETS, **changed})


HOSTILE = {
    "a reference to a file": ({"$ref": "file:///etc/passwd"}, "outside"),
    "a reference to another site": ({"$ref": "https://example.org/x.json#/a"}, "outside"),
    "a circle of references": ({"$ref": "#/components/schemas/Loop"}, "cycle"),
    "a reference to nothing": ({"$ref": "#/components/schemas/Gone"}, "does not exist"),
    "a schema of ten thousand parts": ({"anyOf": [{"type": "string"}] * 10_000}, "too large"),
}


def asking(parameter):
    """A document with one operation that has this parameter, and one without any."""
    return {
        **PETS,
        "paths": {"/": {"get": {"parameters": [parameter]}, "post": {}}},
        "components": {"schemas": {"Loop": {"$ref": "#/components/schemas/Loop"}}},
    }


@pytest.mark.parametrize(("schema", "word"), HOSTILE.values(), ids=HOSTILE)
def test_references_lead_nowhere_else(schema, word):
    imported = import_operations(asking({"name": "q", "in": "query", "schema": schema}))

    assert [tool.tool_name for tool in imported.tools] == ["post"]
    assert word in imported.skipped[0].reason


@pytest.mark.parametrize("target", ["#/components/schemas/Loop", "other.yaml#/a", "#/gone", ""])
def test_a_parameter_that_leads_nowhere_is_not_left_out_in_silence(target):
    imported = import_operations(asking({"$ref": target}))

    assert [(each.name, bool(each.reason)) for each in imported.skipped] == [("get/", True)]


def test_no_schema_allows_everything():
    (tool, _) = import_operations(asking({"name": "q", "in": "query", "schema": "string"})).tools

    assert read_arguments('{"q": "x"}', tool.schema) == {"q": "x"}


YAML = b"""
openapi: 3.1.0
servers: [{url: https://pets.example/v2}]
paths:
  /pets/{id}:
    get:
      operationId: pets.get
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
      responses:
        200: {description: One, x-since: 2024-02-30x, x-day: 2024-02-29, x-rate: .inf}
"""


def test_a_document_may_be_yaml():
    (tool,) = import_operations(read_document(YAML)).tools

    assert (tool.tool_name, tool.settings["url"]) == (
        "pets_get",
        "https://pets.example/v2/pets/{id}",
    )
    assert tool.schema["required"] == ["id"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (YAML + b"  bad: [", "line"),
        (b"a: &a [x]\nb: *a\n", "aliases"),
        (b"openapi: 3.0.0\nx: " + b"[" * 5000, "nested"),
        (b"openapi: 3.0.0\nx: !!python/object/apply:os.system [id]", "neither"),
        (b"openapi: 3.0.0\nx: 2024-13-45\n", "neither"),
        (b"\x00\x01", "neither"),
        (b"openapi: 3.0.0\ninfo: {}\n", "no paths"),
        (b'{"openapi": "3.1.0"}', "no paths"),
        (b"swagger: '2.0'\npaths: {/: {}}", "OpenAPI 3"),
        (b"<html>Not found</html>", "OpenAPI 3"),
    ],
)
def test_yaml_that_means_harm_is_refused_in_a_sentence(text, word):
    with pytest.raises(WrongDocument, match=word):
        read_document(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["get", "post", "parameters", "requestBody", "content", "application/json",
                         "schema", "$ref", "name", "in", "type", "properties", "required", "/a"]),
        inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON, JSON, JSON)
def test_any_document_is_imported_or_refused(path, components, servers):
    document = {
        "openapi": "3.1.0",
        "servers": servers,
        "paths": {"/a": path},
        "components": components,
    }
    try:
        imported = import_operations(document, source="https://example.org/")
    except WrongDocument:
        return
    for tool in imported.tools:
        assert tool.settings["url"].startswith("https://")
