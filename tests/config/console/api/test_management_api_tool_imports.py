"""The management API imports tools: shown first, then all that are named, or none."""

import json

import pytest

from agents.models import Tool
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.runs.tools import make_tool

SECRET = "sesame-open-now"
DOCUMENT = json.dumps(
    {
        "openapi": "3.1.0",
        "servers": [{"url": "https://93.184.216.34/v1"}],
        "paths": {
            "/orders": {"get": {"summary": "All orders"}, "post": {"operationId": "order"}},
            "/odd": {"get": {"parameters": [{"name": "s", "in": "body", "required": True}]}},
        },
    }
)


@pytest.fixture
def developer(client, acme):
    client.force_login(make_person(acme, "developer"))
    return client


def post(client, path, **body):
    return client.post(f"/api/v1/tools/{path}", body, content_type="application/json")


def test_what_a_document_offers_is_told_and_nothing_stored(developer):
    told = post(developer, "find-openapi", document=DOCUMENT).json()

    assert [(each["name"], each["method"], each["problem"]) for each in told["tools"]] == [
        ("get_orders", "GET", ""), ("order", "POST", ""),
    ]  # fmt: skip
    assert told["skipped"] == [
        {"name": "get/odd", "reason": "The parameter 's' has the unknown place 'body'."}
    ]
    assert not rows(Tool).exists()


def test_what_is_named_is_made(developer, acme):
    answer = post(
        developer,
        "import-openapi",
        document=DOCUMENT,
        names=["order", "get_orders"],
        credential=SECRET,
        credential_header="x-key",
        credential_prefix="",
    )

    assert answer.status_code == 201
    assert [each["has_credential"] for each in answer.json()] == [True, True]
    assert SECRET not in answer.content.decode()
    tool = rows(Tool).get(name="order")
    assert (tool.tenant, tool.credential) == (acme, SECRET)
    assert (tool.settings["credential_header"], tool.settings["credential_prefix"]) == ("x-key", "")


ELSEWHERE = {
    "/else": {"servers": [{"url": "https://93.184.216.35"}], "get": {"operationId": "else"}}
}


@pytest.mark.parametrize(
    ("allowed", "stored"), [([], ""), (["https://93.184.216.35"], SECRET), (["evil.example"], "")]
)
def test_a_credential_goes_to_the_documents_own_host_unless_another_is_named(
    developer, allowed, stored
):
    document = json.loads(DOCUMENT)
    document["paths"] |= ELSEWHERE
    text = json.dumps(document)

    shown = post(developer, "find-openapi", document=text).json()["tools"]
    body = {"document": text, "names": ["else", "order"], "credential": SECRET}
    post(developer, "import-openapi", **body, credential_hosts=allowed)

    assert {each["name"]: (each["host"], each["is_credential_host"]) for each in shown} == {
        "get_orders": ("https://93.184.216.34", True),
        "order": ("https://93.184.216.34", True),
        "else": ("https://93.184.216.35", False),
    }
    assert (rows(Tool).get(name="else").credential, rows(Tool).get(name="order").credential) == (
        stored, SECRET,
    )  # fmt: skip


@pytest.mark.parametrize("names", [["order", "nothing"], ["order", "get_orders"], []])
def test_all_are_made_or_none(developer, acme, rival, names):
    make_tool(acme, name="get_orders")

    answer = post(developer, "import-openapi", document=DOCUMENT, names=names)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "names")
    assert [each.name for each in rows(Tool)] == ["get_orders"]


def test_another_tenants_names_are_no_conflict(developer, rival):
    make_tool(rival, name="get_orders")

    told = post(developer, "find-openapi", document=DOCUMENT).json()

    assert {each["problem"] for each in told["tools"]} == {""}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("find-openapi", {}, "url"),
        ("find-openapi", {"document": "{"}, "document"),
        ("find-openapi", {"url": "https://127.0.0.1/"}, "url"),
        ("find-openapi", {"document": DOCUMENT, "prefix": "a b"}, "prefix"),
        ("find-mcp", {"url": "https://127.0.0.1/mcp"}, "url"),
        ("find-mcp", {}, "url"),
    ],
)
def test_what_cannot_be_read_says_where(developer, path, body, param):
    answer = post(developer, path, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
