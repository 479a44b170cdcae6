"""What the console's forms refuse in names, the management API refuses too."""

import json

import pytest

from tenants.models import ApiKey, Tenant
from tests.fixtures.console.people import rows

API = "/api/v1/"
REVERSED = "a\u202etxt"
NO_WIDTH = "ac\u200bme"


def send(console, method, path, **body):
    answer = getattr(console, method)(API + path, json.dumps(body), "application/json")
    return answer.status_code, answer.json().get("error", {})


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tenants", {"slug": "evil", "name": REVERSED}, "name"),
        ("tenants", {"slug": "evil", "name": NO_WIDTH}, "name"),
        ("api-keys?tenant=acme", {"name": REVERSED}, "name"),
        ("api-keys?tenant=acme", {"name": "k", "allowed_models": [NO_WIDTH]}, "allowed_models.0"),
        ("plans", {"name": "Free\u0007"}, "name"),
        ("agents?tenant=acme", {"slug": "a", "name": REVERSED, "route": "smollm2"}, "name"),
        ("join-tokens", {"name": REVERSED, "pool": "small"}, "name"),
    ],
)
@pytest.mark.usefixtures("acme", "route")
def test_a_name_with_a_character_that_nobody_sees_is_refused(console, path, body, param):
    status, error = send(console, "post", path, **body)
    assert (status, error.get("param")) == (400, param)
    assert "is invisible" in error["message"]


def test_a_change_is_refused_too(console, acme):
    assert send(console, "patch", f"tenants/{acme.slug}", name=REVERSED)[0] == 400
    assert Tenant.objects.get().name == "Acme"


@pytest.mark.parametrize("name", ["上海智能", "نور", "O'Brien & Söhne 🚀", "நன்றி", "👩\u200d💻"])
def test_names_of_every_script_are_taken(console, acme, name):
    assert send(console, "post", "api-keys?tenant=acme", name=name)[0] == 201
    assert rows(ApiKey).get().name == name


def test_long_texts_may_have_lines(console, acme, route):
    status, _ = send(
        console, "post", "plans", name="Basic", description="First line.\nSecond line.\n"
    )
    assert status == 201
