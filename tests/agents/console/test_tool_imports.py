"""Tools are imported on pages of the console: shown first, chosen, made together."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from agents.models import Tool
from agents.tool_library.imports import ImportOptions, import_tools
from agents.tool_library.pending_imports import load_offer
from tests.fixtures.console.people import rows
from tests.fixtures.runs.tools import make_tool
from tests.fixtures.servers.tool_servers import local

PETS = json.loads((Path(__file__).parents[2] / "fixtures" / "pets_openapi.json").read_text())
SECRET = "sesame-open-now"
SERVER = {"servers": [{"url": "https://93.184.216.34/v2"}]}
SKIPPED = {"/x": {"get": {"parameters": [{"name": "s", "in": "body", "required": True}]}}}
DOCUMENT = json.dumps({**PETS, **SERVER, "paths": {**PETS["paths"], **SKIPPED}})
PAGE = "admin:agents_tool_openapi"


def offer(console, tenant, **told):
    """The page that follows after a document was given."""
    usual = {"credential_header": "authorization", "credential_prefix": "Bearer "}
    return console.post(reverse(PAGE), {"tenant": tenant.pk, **usual, **told}, follow=True)


def choose(console, offered, *names, **told):
    body = {"names": names, "timeout_seconds": 20, **told}
    return console.post(offered.redirect_chain[-1][0], body, follow=True)


def text_of(answer):
    return answer.content.decode()


def refusals(answer):
    assert not answer.redirect_chain
    return " ".join(
        message for messages in answer.context["form"].errors.values() for message in messages
    )


def test_the_operations_of_a_document_are_shown_before_anything_is_made(console, acme):
    text = text_of(offer(console, acme, document=DOCUMENT))

    assert re.search(r"GET</b>\s*https://93.184.216.34/v2/pets/\{id\}", text)
    assert "One pet" in text
    assert "The parameter &#x27;s&#x27; has the unknown place &#x27;body&#x27;." in text
    assert not rows(Tool).exists()


def test_what_is_ticked_becomes_tools_with_their_credential(console, acme, rival, operator):
    offered = offer(console, acme, document=DOCUMENT, new_credential=SECRET, beginning="p_")

    made = choose(console, offered, "p_pets_get", "p_replace_pet", needs_approval="on")

    assert "Tools created: 2." in text_of(made)
    tools = rows(Tool).order_by("name")
    assert [(each.name, each.tenant) for each in tools] == [
        ("p_pets_get", acme), ("p_replace_pet", acme),
    ]  # fmt: skip
    assert {(each.credential, each.needs_approval) for each in tools} == {(SECRET, True)}
    assert SECRET not in text_of(offered) + text_of(made)
    assert [entry.actor for entry in LogEntry.objects.filter(object_repr="p_pets_get")] == [
        operator
    ]


ELSEWHERE = {
    "/else": {"servers": [{"url": "https://93.184.216.35"}], "get": {"operationId": "else"}}
}
TWO_HOSTS = json.dumps({**PETS, **SERVER, "paths": {**PETS["paths"], **ELSEWHERE}})


def test_a_host_that_is_not_the_documents_own_is_shown_and_gets_no_credential(console, acme):
    offered = offer(console, acme, document=TWO_HOSTS, new_credential=SECRET)
    choose(console, offered, "else", "pets_get")

    assert "It calls https://93.184.216.35, not https://93.184.216.34." in text_of(offered)
    assert [(tool.name, tool.credential) for tool in rows(Tool).order_by("name")] == [
        ("else", ""), ("pets_get", SECRET),
    ]  # fmt: skip


def test_another_host_gets_the_credential_if_a_person_allows_it(console, acme):
    offered = offer(console, acme, document=TWO_HOSTS, new_credential=SECRET)
    choose(console, offered, "else", credential_hosts=["https://93.184.216.35"])

    assert rows(Tool).get().credential == SECRET


def test_one_server_inside_holds_up_its_own_operations_only(console, acme):
    inside = {"/in": {"servers": [{"url": "https://10.0.0.1"}], "get": {"operationId": "inside"}}}
    document = json.dumps({**PETS, **SERVER, "paths": {**PETS["paths"], **inside}})

    offered = offer(console, acme, document=document)
    refused = choose(console, offered, "inside")

    assert "not public" in text_of(offered)
    assert refused.context["form"].errors["names"]
    choose(console, offered, "pets_get")
    assert [tool.name for tool in rows(Tool)] == ["pets_get"]


def test_a_name_that_is_taken_cannot_be_ticked(console, acme, rival):
    make_tool(acme, name="pets_get")
    make_tool(rival, name="replace_pet")
    offered = offer(console, acme, document=DOCUMENT)

    refused = choose(console, offered, "pets_get", "replace_pet")

    assert "A tool has this name already." in text_of(offered)
    assert text_of(offered).count("has this name already") == 1
    assert refused.context["form"].errors["names"]
    assert rows(Tool).filter(tenant=acme).count() == 1


def test_all_are_made_or_none(console, acme):
    offered = offer(console, acme, document=DOCUMENT)
    name = offered.redirect_chain[-1][0].rstrip("/").rpartition("/")[2]
    kept = load_offer(name, user=int(console.session["_auth_user_id"]))
    make_tool(acme, name="replace_pet")
    with pytest.raises(ValidationError, match="replace_pet"):
        import_tools(
            tenant=acme,
            offer=kept.offer,
            names=["pets_get", "replace_pet"],
            options=ImportOptions(),
        )
    assert [each.name for each in rows(Tool)] == ["replace_pet"]


def test_a_document_is_fetched_as_tools_fetch(console, acme, tool_host):
    answer = web.Response(text=DOCUMENT, content_type="application/json")
    tool_host.answers["/api.json"] = answer

    offered = offer(console, acme, url=local(tool_host, "/api.json"))

    assert "Its server" in refusals(offered)
    tool_host.answers["/api.json"] = web.json_response({**PETS, "servers": [{"url": "/v3"}]})
    text = text_of(offer(console, acme, url=local(tool_host, "/api.json")))
    assert local(tool_host, "/v3/pets/{id}") in text
    assert len(tool_host.seen) == 2


def test_an_uploaded_file_may_be_yaml(console, acme):
    yaml = b"openapi: 3.0.3\nservers: [{url: https://93.184.216.34}]\npaths: {/a: {get: {}}}\n"

    offered = offer(console, acme, file=SimpleUploadedFile("api.yaml", yaml))

    assert "GET" in text_of(offered)
    choose(console, offered, "get_a")
    assert rows(Tool).get().settings["url"] == "https://93.184.216.34/a"


WRONG = {
    "nothing": ({}, "Provide a URL"),
    "no JSON": ({"document": "{"}, "neither JSON nor YAML"),
    "no YAML": ({"document": "a: [1"}, "neither JSON nor YAML"),
    "Swagger 2": ({"document": '{"swagger": "2.0"}'}, "no OpenAPI 3"),
    "no paths": ({"document": '{"openapi": "3.1.0", "paths": {}}'}, "no paths"),
    "no server": ({"document": json.dumps({**PETS, "servers": []})}, "names no server"),
    "a server inside": (
        {"document": json.dumps({**PETS, "servers": [{"url": "https://169.254.169.254/"}]})},
        "not public",
    ),
    "both": ({"document": DOCUMENT, "file": SimpleUploadedFile("a.json", b"{}")}, "not both"),
    "a long file": ({"file": SimpleUploadedFile("a.json", b"{" * 4_194_305)}, "longer than 4 MiB"),
    "an address inside": ({"url": "https://127.0.0.1/api.json"}, "not public"),
    "no address": ({"url": "javascript:alert(1)"}, "public"),
    "a prefix that is none": ({"document": DOCUMENT, "beginning": "a b"}, "Letters"),
}


@pytest.mark.parametrize(("told", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_is_a_sentence_in_the_form(console, acme, told, sentence):
    assert sentence in refusals(offer(console, acme, **told))
    assert not rows(Tool).exists()


def test_an_address_that_answers_wrongly_is_a_sentence(console, acme, tool_host):
    tool_host.answers["/gone"] = web.Response(status=404, text="no")
    tool_host.answers["/page"] = web.Response(text="<html>", content_type="text/html")
    tool_host.answers["/long"] = web.Response(body=b" " * 5_000_000)

    told = [
        refusals(offer(console, acme, url=local(tool_host, each))) for each in tool_host.answers
    ]

    assert "HTTP 404" in told[0]
    assert "no OpenAPI 3" in told[1]
    assert "too long" in told[2]


def test_what_a_document_says_is_never_a_part_of_the_page(console, acme):
    evil = "<script>alert(1)</script>"
    operation = {"summary": evil, "operationId": evil, "parameters": [
        {"name": "x", "in": "query", "schema": {"type": evil}}]}  # fmt: skip
    document = {**PETS, **SERVER, "paths": {f"/{evil}": {"get": operation}}}

    text = text_of(offer(console, acme, document=json.dumps(document)))

    assert evil not in text
    assert "&lt;script&gt;" in text


def test_an_offer_is_for_who_asked_only(console, acme, django_user_model, client):
    offered = offer(console, acme, document=DOCUMENT, new_credential=SECRET)
    other = django_user_model.objects.create_superuser("other")
    client.force_login(other)

    answer = choose(client, offered, "pets_get")

    assert "This list has expired" in text_of(answer)
    assert not rows(Tool).exists()


def test_an_offer_is_taken_up_once(console, acme):
    offered = offer(console, acme, document=DOCUMENT)
    choose(console, offered, "pets_get")
    assert "This list has expired" in text_of(choose(console, offered, "replace_pet"))


@pytest.mark.parametrize("name", ["openapi", "mcp"])
def test_somebody_who_is_no_operator_is_sent_away(client, acme, django_user_model, name):
    person = django_user_model.objects.create_user("eve", is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    client.force_login(person)
    answer = client.post(reverse(f"admin:agents_tool_{name}"), {"document": DOCUMENT})
    assert answer.status_code == 302
    assert "login" in answer.url
