"""What is wrong with a request is said in the shape and with the code of the contract."""

import asyncio
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from tenants import services as tenants
from tenants.models import ApiKey
from tests.fixtures.cast import Member, hire, issue
from tests.fixtures.gateway import in_database

pytestmark = pytest.mark.usefixtures("tiny")

CHAT = "/v1/chat/completions"
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
DEEP = b'{"model": "tiny", "messages": [' + b"[" * 70 + b"]" * 70 + b"]}"

BODIES = {
    "not json": (b"hello", 400, "invalid_json"),
    "cut short": (b'{"model": "tiny"', 400, "invalid_json"),
    "not utf-8": (b'{"model": "\xff\xfe"}', 400, "invalid_json"),
    "empty": (b"", 400, "invalid_json"),
    "a list": (b"[]", 400, "invalid_parameter"),
    "too deep": (DEEP, 400, "invalid_json"),
    "no model": (b'{"messages": [{"role": "user"}]}', 400, "missing_parameter"),
    "no messages": (b'{"model": "tiny"}', 400, "missing_parameter"),
    "empty messages": (b'{"model": "tiny", "messages": []}', 400, "invalid_parameter"),
    "a number as model": (b'{"model": 7, "messages": []}', 400, "invalid_parameter"),
    "an unknown role": (
        b'{"model": "tiny", "messages": [{"role": "boss", "content": "x"}]}', 400,
        "invalid_parameter",
    ),
}  # fmt: skip

PARAMETERS = [
    ("max_tokens", -1), ("max_tokens", 0), ("max_tokens", 2**63), ("max_tokens", "1e9"),
    ("max_tokens", True), ("max_tokens", 1.5), ("temperature", 3), ("temperature", "hot"),
    ("top_p", -0.1), ("n", 9), ("n", 0), ("stop", ["x"] * 17), ("stream", "yes"),
    ("logit_bias", {"1": 1000}), ("tools", [{}]), ("tools", "all"), ("top_logprobs", 21),
]  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
async def test_a_body_that_is_no_request(gateway, acme, engine, case):
    body, status, code = BODIES[case]

    answer = await gateway.post(acme, CHAT, data=body)

    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.error["type"] == "invalid_request_error"
    assert not len(engine.records)


@pytest.mark.parametrize(("name", "value"), PARAMETERS)
async def test_a_parameter_that_is_out_of_range(gateway, acme, engine, name, value):
    answer = await gateway.post(acme, CHAT, json={**ASKED, name: value})

    assert answer.status == 400
    assert answer.error["code"] in {"invalid_parameter", "missing_parameter"}
    assert answer.error["param"].startswith(name)
    assert not len(engine.records)


async def test_an_image_that_the_engine_would_have_to_fetch(gateway, acme, engine):
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}

    answer = await gateway.chat(acme, content=[image])

    assert answer.status == 400
    assert not len(engine.records)


async def test_a_body_larger_than_allowed(gateway, acme):
    answer = await gateway.post(acme, CHAT, data=io.BytesIO(b"x" * (5 * 1024 * 1024)))

    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


async def test_a_body_larger_than_allowed_without_its_length_declared(gateway, acme):
    async def chunks():
        for _ in range(80):
            yield b"x" * 65_536

    answer = await gateway.post(acme, CHAT, data=chunks())

    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


async def test_too_many_messages(gateway, acme):
    messages = [{"role": "user", "content": "x"}] * 1001

    answer = await gateway.post(acme, CHAT, json={**ASKED, "messages": messages})

    assert (answer.status, answer.error["code"]) == (400, "invalid_parameter")


@pytest.mark.parametrize("model", ["missing", "acme-secret", "../x", "a" * 200])
async def test_a_model_that_is_not_there(gateway, acme, model):
    answer = await gateway.chat(acme, model=model)

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert answer.error["param"] == "model"


async def test_another_tenants_agent_is_not_there_either(gateway, acme, rival, tiny):
    await in_database(hire, rival.tenant, tiny, slug="rivals")

    foreign = await gateway.chat(acme, model="rivals")
    missing = await gateway.chat(acme, model="nobody")

    assert foreign.status == missing.status == 404
    assert foreign.error["message"].replace("rivals", "nobody") == missing.error["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer sk-something-else"},
        {"authorization": f"Bearer tnt_{'0' * 12}_{'0' * 38}"},
        {"authorization": "Bearer tnt_ÿÿ"},
        {"x-api-key": "nonsense"},
    ],
)
async def test_a_request_without_a_valid_key(gateway, headers):
    answer = await gateway.post(None, CHAT, json=ASKED, headers=headers)

    assert answer.status == 401
    assert answer.error["type"] == "authentication_error"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_in_the_query_string_does_not_count(gateway, acme):
    answer = await gateway.post(None, f"{CHAT}?api_key={acme.key}&key={acme.key}", json=ASKED)

    assert answer.status == 401


async def test_a_key_with_a_wrong_secret(gateway, acme):
    from tenants.api_keys.keys import KeyText, parse_key

    real = parse_key(acme.key)
    forged = KeyText(kind="tnt", public_id=real.public_id, secret="0" * 32)

    answer = await gateway.chat(Member(tenant=acme.tenant, key=str(forged)))

    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


async def test_the_key_may_also_come_as_x_api_key(gateway, acme):
    answer = await gateway.post(None, CHAT, json=ASKED, headers={"x-api-key": acme.key})

    assert answer.status == 200


async def test_a_key_that_has_expired(gateway, acme):
    member = await in_database(issue, acme.tenant, expires_at=timezone.now() - timedelta(seconds=1))

    answer = await gateway.chat(member)

    assert (answer.status, answer.error["code"]) == (401, "expired_api_key")


async def test_a_key_without_the_scope(gateway, acme):
    member = await in_database(issue, acme.tenant, scopes=["models"])

    answer = await gateway.chat(member)

    assert (answer.status, answer.error["code"]) == (403, "scope_missing")


async def test_a_key_that_may_not_be_used_from_here(gateway, acme):
    member = await in_database(issue, acme.tenant, allowed_networks=["203.0.113.0/24"])

    answer = await gateway.chat(member)

    assert (answer.status, answer.error["code"]) == (403, "ip_not_allowed")


async def test_a_key_that_may_not_use_the_model(gateway, acme):
    member = await in_database(issue, acme.tenant, allowed_models=["other"])

    answer = await gateway.chat(member)

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


async def blocked_within(gateway, member, status, seconds=1.0):
    """The answer as soon as it has `status`; it must come within `seconds`."""
    async with asyncio.timeout(seconds):
        while (answer := await gateway.chat(member)).status != status:
            await asyncio.sleep(0.02)
    return answer


async def test_a_blocked_key_is_refused_within_a_second(gateway, acme):
    assert (await gateway.chat(acme)).status == 200
    key = await in_database(ApiKey.objects.get)

    await in_database(tenants.block_key, key=key, now=timezone.now())

    assert (await blocked_within(gateway, acme, 401)).error["code"] == "revoked_api_key"


async def test_the_key_of_a_suspended_tenant_is_refused_within_a_second(gateway, acme, rival):
    assert (await gateway.chat(acme)).status == 200

    await in_database(tenants.suspend_tenant, tenant_id=acme.tenant.pk)

    assert (await blocked_within(gateway, acme, 403)).error["code"] == "tenant_suspended"
    assert (await gateway.chat(rival)).status == 200


async def test_a_rotated_key_and_its_successor_both_work(gateway, acme):
    key = await in_database(ApiKey.objects.get)

    issued = await in_database(tenants.rotate_key, key=key, now=timezone.now())

    assert (await gateway.chat(acme)).status == 200
    assert (await gateway.chat(Member(tenant=acme.tenant, key=issued.secret))).status == 200


async def test_a_wrong_method_names_the_right_one(gateway, acme):
    answer = await gateway.get(acme, CHAT)

    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/models"])
async def test_head_is_get_without_its_body(gateway, acme, path):
    """Monitors ask so."""
    whole = await gateway.get(acme, path)
    head = await gateway.ask("HEAD", acme, path)

    assert (head.status, head.body) == (whole.status, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert (await gateway.post(acme, path, json={})).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/chat/completions/x", "/admin/", "//"]
)
async def test_an_address_that_is_none(gateway, acme, path):
    answer = await gateway.post(acme, path, json={})

    assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_nothing_of_this_is_a_bug_or_is_metered(gateway, acme, caplog):
    for body, *_ in BODIES.values():
        await gateway.post(acme, CHAT, data=body)

    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    assert not gateway.worker.ledger._pending
