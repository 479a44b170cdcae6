"""OpenAPI documents of `tests/cases/openapi`: what is imported, and which requests are made."""

import json
from pathlib import Path

import pytest

from agents.runtime.loop.tool_arguments import WrongArguments, read_arguments
from agents.runtime.tools.http.openapi import WrongDocument, import_operations, read_document
from agents.runtime.tools.http.request import build
from agents.runtime.tools.http.settings import HttpSettings
from agents.runtime.tools.settings import read_settings
from agents.runtime.tools.validation import validate_tool

CASES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[3] / "cases" / "openapi").glob("*.json"))
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


def test_a_document_becomes_the_requests_that_it_describes(case):
    text = json.dumps(case["document"]).encode()
    if "refused" in case:
        with pytest.raises(WrongDocument, match=case["refused"]):
            import_operations(read_document(text), source=case.get("source", ""))
        return

    imported = import_operations(read_document(text), source=case.get("source", ""))

    tools = {tool.tool_name: tool for tool in imported.tools}
    ensure_reasons(case.get("skipped", {}), {one.name: one.reason for one in imported.skipped})
    notes = {name: " ".join(tool.notes) for name, tool in tools.items() if tool.notes}
    ensure_reasons(case.get("notes", {}), notes)
    for name, schema in case.get("schema", {}).items():
        found = {word: list(tools[name].schema.get(word, ())) for word in schema}
        assert found == schema
    for call in case["calls"]:
        ensure_call(tools[call["tool"]], call)
    assert set(tools) == {call["tool"] for call in case["calls"]}


def ensure_reasons(expected, found):
    assert set(found) == set(expected)
    for name, word in expected.items():
        assert word in found[name]


def ensure_call(tool, call):
    if "wrong" in call:
        with pytest.raises(WrongArguments, match=call["wrong"]):
            request_of(tool, call["arguments"])
        return
    request, expected = request_of(tool, call["arguments"]), call["request"]
    assert (request.method, request.url) == (expected["method"], expected["url"])
    assert expected.get("headers", {}).items() <= request.headers.items()
    assert not set(expected.get("no_headers", ())) & set(request.headers)
    if "json" in expected:
        assert json.loads(request.body) == expected["json"]
    if "body" in expected:
        assert request.body.decode() == expected["body"]


def request_of(tool, arguments):
    """As a run makes it: the arguments are checked, and the tool could be stored."""
    assert not validate_tool("http", dict(tool.settings), tool.schema, ensure_target=str)
    checked = read_arguments(json.dumps(arguments), tool.schema)
    return build(read_settings(tool.settings, HttpSettings), checked, "")
