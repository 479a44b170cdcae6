"""Whatever is sent to the management API, it answers in its own form, and never with a 500.

Every operation of the API's own document is called with every nasty value in every place.
"""

import json
from base64 import b64decode, b64encode
from functools import cache
from itertools import count

import pytest
from django.db import transaction
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from knox.models import AuthToken

from agents import services as agents
from tenants import services
from tests.fixtures.console.people import make_event
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.limits.limits import make_plan, own_quota, own_rate
from tests.fixtures.runs.tools import make_tool

NUL, HALF = "nul\x00", "\ud800"
HUGE = 10**30
TEXTS = (NUL, HALF, "", " ", "x" * 70_000, "NaN", "-1", "9" * 5000, "1e999", "٣", "\u202e", "{}")
VALUES = (*TEXTS, None, True, -1, 0, HUGE, -HUGE, 1.5, 1e300, [], {}, [None], [NUL], {NUL: NUL})
MORE_VALUES = ([[]], [{}], {"a": {"b": NUL}}, [HUGE], [1.5, "x"], {"": ""}, [[HALF]], ["x" * 9000])
WHOLE_BODIES = (
    *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"NaN", b'{"a": NaN}', b'{"a": -Infinity}'),
    *(b'{"a": 1e999}', b"\xff\xfe", b'{"\\ud800": 1}', b'{"a": "\\u0000"}', b"[" * 100_000),
    *(b'{"a":' * 5000 + b"1" + b"}" * 5000, b"9" * 5000, b'{"a": ' + b"9" * 5000 + b"}"),
)
IN_QUERIES = ("%00", "%ff", "NaN", "-1", "9" * 40, "9" * 5000, "%ED%A0%80", "1e999", "", "%0a")
IN_PATHS = ("%00", "0", "9" * 40, "-1", "NaN", "%ff", "x%00y", "%F0%9F%98%80")


@pytest.fixture
def client(operator):
    """An operator's script. A failure that nobody expected raises in the test."""
    _, token = AuthToken.objects.create(user=operator)
    return Client(headers={"authorization": f"Bearer {token}"})


@cache
def document():
    return SchemaGenerator().get_schema(public=True)


@cache
def operations():
    """(method, path) of the document."""
    return [
        (method, path)
        for path, item in document()["paths"].items()
        for method in ("get", "post", "patch", "delete")
        if method in item and path.startswith("/api/v1/")
    ]


def body_fields(method, path):
    """The fields of an operation's body, also those of its parts, as paths of names."""
    content = document()["paths"][path][method].get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    yield from fields_of(schema)


def fields_of(schema, before=(), depth=0):
    schema = resolved(schema)
    for name, each in schema.get("properties", {}).items():
        yield (*before, name)
        inner = resolved(each)
        if depth < 2:
            yield from fields_of(inner, (*before, name), depth + 1)
            if inner.get("type") == "array":
                yield from fields_of(inner.get("items", {}), (*before, name, 0), depth + 1)


def resolved(schema):
    if "$ref" in schema:
        return resolved(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for kind in ("allOf", "oneOf", "anyOf"):
        if kind in schema:
            return resolved(schema[kind][0])
    return schema


def with_value(place, value):
    """A body in which the value stands at the place, and nothing else is said."""
    for name in reversed(place):
        value = [value] if name == 0 else {name: value}
    return value


def real(path, ids):
    """The path with things that exist, so that the body is looked at."""
    kind = path.removeprefix("/api/v1/").partition("/")[0]
    for name in ("{id}", "{slug}", "{public_id}", "{request_id}", "{token_key}", "{number}"):
        path = path.replace(name, str(ids.get(kind, 1)) if name != "{number}" else "1")
    return path


def check(answer, sent):
    """An answer in the API's form: a success, or an error object with a code."""
    assert answer.status_code < 500, sent
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/json", sent
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "code", "param"}, sent
    return answer


def send(client, method, address, body=None):
    """Sends, checks the answer, and undoes what it did."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with transaction.atomic():
        answer = client.generic(method.upper(), address, raw, content_type="application/json")
        check(answer, (method, address, raw[:200]))
        transaction.set_rollback(True)
    return answer


@pytest.fixture
def ids(acme, route, pool):
    """Things of acme by the first part of their paths."""
    key = services.issue_key(tenant=acme, name="production").key
    agent = agents.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    agents.publish(agent=agent)
    return {
        "tenants": "acme",
        "api-keys": key.pk,
        "agents": agent.pk,
        "tools": make_tool(acme).pk,
        "usage": make_event(acme).request_id,
        "plans": make_plan().pk,
        "quotas": own_quota(acme).pk,
        "rate-limits": own_rate(acme).pk,
        "routes": route.pk,
        "pools": pool.pk,
        "scaling-policies": make_policy(pool).pk,
    }


def writes():
    return [(m, p) for m, p in operations() if m in {"post", "patch"}]


@pytest.mark.slow
def test_bodies_with_nasty_values_are_refused_in_the_apis_form(client, ids):
    """Each field meets a value of its own in turn, and then all fields of a body at once."""
    number = count()
    for method, path in writes():
        address = real(path, ids) + "?tenant=acme"
        places = list(body_fields(method, path))
        for place in places:
            value = VALUES[next(number) % len(VALUES)]
            send(client, method, address, with_value(place, value))
        body = {place[0]: VALUES[next(number) % len(VALUES)] for place in places}
        send(client, method, address, body)


@pytest.mark.slow
def test_bodies_that_are_no_objects_are_refused_in_the_apis_form(client, ids):
    for number, (method, path) in enumerate(writes()):
        body = WHOLE_BODIES[number % len(WHOLE_BODIES)]
        send(client, method, real(path, ids) + "?tenant=acme", body)
    for body in WHOLE_BODIES:
        answer = send(client, "post", "/api/v1/tenants", body)
        assert answer.status_code == 400, body[:80]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_every_field_meets_every_nasty_value(client, ids):
    for method, path in writes():
        address = real(path, ids) + "?tenant=acme"
        for place in body_fields(method, path):
            for value in (*VALUES, *MORE_VALUES):
                send(client, method, address, with_value(place, value))
        for body in WHOLE_BODIES:
            send(client, method, address, body)


def lists():
    return [path for method, path in operations() if method == "get"]


def query_names(path):
    told = document()["paths"][path]["get"].get("parameters", [])
    return [each["name"] for each in told if each["in"] == "query"]


@pytest.mark.slow
def test_every_query_value_is_taken_or_refused_in_the_apis_form(client, ids):
    for path in lists():
        for number, name in enumerate((*query_names(path), "cursor", "page_size")):
            value = IN_QUERIES[number % len(IN_QUERIES)]
            send(client, "get", f"{real(path, ids)}?{name}={value}")
            answer = send(client, "get", f"{real(path, ids)}?{name}=a%00b")
            assert answer.status_code in {400, 404}


@pytest.mark.slow
def test_every_path_value_is_not_found_in_the_apis_form(client):
    for number, (method, path) in enumerate(operations()):
        if "{" not in path:
            continue
        value = IN_PATHS[number % len(IN_PATHS)]
        address = path.replace("{number}", "1").partition("{")[0] + value
        address += path.partition("}")[2].replace("{number}", "1")
        assert send(client, method, address, {}).status_code in {400, 404, 405}, address


def cursor(text):
    return b64encode(text.encode()).decode().replace("+", "%2B")


CURSORS = (
    *("", "x", "%00", "%ff", "====", "cD0lMDA=", "9" * 9000),
    *map(cursor, ("p=%00", "p=NaN", "p=-1", "p=1", "o=-1", "o=x", "o=9999999999999", "r=7", "a=b")),
)


def paged():
    return [path for path in lists() if "cursor" in query_names(path) and "{" not in path]


@pytest.mark.slow
def test_a_cursor_that_is_none_is_refused_by_every_list(client, ids):
    assert len(paged()) > 20
    for path in paged():
        for text in CURSORS:
            answer = send(client, "get", f"{path}?cursor={text}")
            error = answer.json()["error"]
            told = (answer.status_code, error["code"], error["param"])
            assert told == (400, "invalid_parameter", "cursor"), (path, text[:40])


def test_another_lists_cursor_is_refused_and_the_own_one_leads_on(client, acme):
    for number in range(3):
        make_event(acme, number)
        services.issue_key(tenant=acme, name=f"key {number}")
    following = {}
    for path in ("/api/v1/usage", "/api/v1/api-keys"):
        first = client.get(f"{path}?page_size=2").json()
        rest = client.get(first["next"]).json()
        assert (len(first["results"]), len(rest["results"])) == (2, 1)
        assert client.get(rest["previous"]).json()["results"] == first["results"]
        following[path] = first["next"].partition("?")[2]
    for path, other in (("usage", "api-keys"), ("api-keys", "usage")):
        answer = client.get(f"/api/v1/{path}?{following[f'/api/v1/{other}']}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cursor")


def test_a_changed_position_in_an_own_cursor_is_refused(client, acme):
    for number in range(3):
        make_event(acme, number)
    for path in ("usage", "api-keys"):
        services.issue_key(tenant=acme, name=path)
    for path, positions in (
        ("usage", ("x", "7", "2026-01-01", "2026-01-01T00:00:00", "%00", "9999999-01-01")),
        ("api-keys", ("x", "%00", "-1", "1.5", "9" * 40, "NaN", "")),
    ):
        own = client.get(f"/api/v1/{path}?page_size=1").json()["next"].partition("cursor=")[2]
        text = b64decode(own.partition("&")[0].replace("%3D", "=")).decode()
        before = text.partition("p=")[0]
        for position in positions:
            answer = client.get(f"/api/v1/{path}?cursor={cursor(before + 'p=' + position)}")
            assert answer.status_code == 400, (path, position)


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5", "", "9" * 5000, "%D9%A3"])
def test_a_page_size_that_is_no_number_is_refused(client, operator, size):
    answer = client.get(f"/api/v1/tenants?page_size={size}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "page_size")


def test_a_page_size_above_the_largest_is_the_largest(client):
    assert client.get("/api/v1/tenants?page_size=100000").status_code == 200


def test_a_body_that_is_too_large_is_refused(client):
    body = b'{"slug": "third", "name": "' + b"x" * 17 * 2**20 + b'"}'
    answer = send(client, "post", "/api/v1/tenants", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("charset", ["utf-16", "hex", "zlib", "idna", "undefined", "x-nothing"])
def test_bodies_are_utf_8_whatever_the_charset_says(client, charset):
    kind = f"application/json; charset={charset}"
    body = b'{"slug": "third", "name": "Third"}'
    answer = client.generic("POST", "/api/v1/tenants", body, content_type=kind)
    assert check(answer, charset).status_code == 201


def test_an_unstorable_text_is_named(client, acme):
    body = {"name": "x", "scopes": ["chat", NUL]}
    answer = client.post("/api/v1/api-keys?tenant=acme", body, content_type="application/json")
    assert answer.json()["error"]["param"] == "scopes.1"


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("place", ["nothing", "tenants/", "members/1/2", "", "../v1/x", "%00"])
@pytest.mark.parametrize("before", ["/api/v1/", "/internal/v1/"])
def test_an_unknown_address_is_a_404_for_every_method(before, place, method):
    client = Client(enforce_csrf_checks=True)
    answer = getattr(client, method)(before + place)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["put", "trace", "delete"])
def test_a_method_that_an_address_does_not_have_is_a_405(operator, method):
    _, token = AuthToken.objects.create(user=operator)
    client = Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer {token}"})
    answer = getattr(client, method)("/api/v1/tenants")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.django_db
@pytest.mark.parametrize("before", ["/api/v1/tenants", "/internal/v1/endpoints"])
def test_a_bug_is_told_in_the_apis_form(before, monkeypatch):
    monkeypatch.setattr("django.core.handlers.base.get_resolver", None)
    client = Client(raise_request_exception=False)
    answer = client.get(before)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
