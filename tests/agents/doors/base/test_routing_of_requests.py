"""How doors are found: HEAD, slashes, packed bodies, and web pages of other origins."""

import gzip
import json

import pytest

pytestmark = pytest.mark.usefixtures("tiny")

ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
PAGE = "https://app.example.com"


async def test_what_answers_get_answers_head_without_a_body(gateway, acme):
    for path in ("/v1/models", "/v1/models/tiny", "/healthz", "/v1/usage"):
        got = await gateway.get(acme, path)
        head = await gateway.ask("HEAD", acme, path)

        assert (head.status, head.body) == (got.status, b"")

    refused = await gateway.ask("HEAD", acme, "/v1/chat/completions")
    wrong = await gateway.ask("PATCH", acme, "/v1/models")
    assert refused.status == 405
    assert wrong.headers["allow"] == "GET, HEAD"


async def test_a_slash_behind_an_address_is_no_other_address(gateway, acme):
    answer = await gateway.post(acme, "/v1/chat/completions/", json=ASKED)
    models = await gateway.get(acme, "/v1/models/")
    model = await gateway.get(acme, "/v1/models/tiny/")
    two = await gateway.get(acme, "/v1/models//")

    assert [each.status for each in (answer, models, model, two)] == [200, 200, 200, 404]
    assert model.json()["id"] == "tiny"


@pytest.mark.parametrize("packing", ["gzip", "br", "GZIP"])
async def test_a_packed_body_is_refused_as_one(gateway, acme, packing):
    body = gzip.compress(json.dumps(ASKED).encode())
    headers = {"content-encoding": packing, "content-type": "application/json"}

    answer = await gateway.post(acme, "/v1/chat/completions", data=body, headers=headers)

    assert (answer.status, answer.error["code"]) == (415, "unsupported_encoding")


@pytest.fixture
def allowed(settings):
    settings.ALLOWED_ORIGINS = [PAGE]
    settings.IS_LOCAL = False


async def test_a_page_of_an_allowed_origin_may_call(allowed, gateway, acme):
    asks = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    }
    preflight = await gateway.ask("OPTIONS", None, "/v1/chat/completions", headers=asks)
    answer = await gateway.post(acme, "/v1/chat/completions", json=ASKED, headers={"origin": PAGE})
    stream = await gateway.post(
        acme, "/v1/chat/completions", json={**ASKED, "stream": True}, headers={"origin": PAGE}
    )
    refused = await gateway.post(None, "/v1/chat/completions", json=ASKED, headers={"origin": PAGE})

    assert preflight.status == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    assert [answer.status, stream.status, refused.status] == [200, 200, 401]
    for each in (preflight, answer, stream, refused):
        assert each.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in each.headers
    assert answer.headers["access-control-expose-headers"] == "*"


async def test_a_page_of_another_origin_may_not(allowed, gateway, acme):
    for origin in ("https://evil.example.com", f"{PAGE}.evil.com", "null", "http://localhost:1"):
        asks = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await gateway.ask("OPTIONS", None, "/v1/chat/completions", headers=asks)
        answer = await gateway.get(acme, "/v1/models", headers={"origin": origin})

        assert preflight.status == 405
        assert "access-control-allow-origin" not in preflight.headers
        assert "access-control-allow-origin" not in answer.headers
