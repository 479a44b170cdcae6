"""`GET /v1/usage`: a tenant reads what it used, and only that."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from agents.doors.base.door import Door
from agents.doors.http.usage import show_usage
from config.gateway.database import queries as module
from kernel.errors import DatabaseUnavailable
from tenants.ledger import append_usage
from tenants.ledger.usage_report import QuotaLine
from tenants.models import ApiKey
from tenants.services import issue_key
from tests.fixtures.gateway import in_database
from tests.fixtures.limits.usage import record

JANUARY = MappingProxyType({"from": "2026-01-01", "to": "2026-02-01"})
NOTHING = {
    "requests": 0,
    "failed": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cached_tokens": 0,
    "cost_micro": 0,
}


@pytest.fixture
async def used(acme, rival):
    """Three requests of acme and a large one of rival."""
    first, second = (
        record(1, tenant_id=acme.tenant.pk, route="tiny", cost_micro=7, cached_tokens=1),
        record(2, tenant_id=acme.tenant.pk, route="large", agent="helper", status="failed"),
    )
    third = record(3, tenant_id=acme.tenant.pk, started_at="2026-01-03T23:30:00+00:00")
    other = record(4, tenant_id=rival.tenant.pk, prompt_tokens=9999)
    await in_database(append_usage, [first, second, third, other])


async def ask(gateway, member, **parameters):
    answer = await gateway.get(member, "/v1/usage", params={**JANUARY, **parameters})
    assert answer.status == 200, answer.body
    return answer.json()


async def test_it_sums_up_what_the_tenant_used(acme, gateway, used):
    answer = await ask(gateway, acme)

    assert (answer["object"], answer["group_by"], answer["time_zone"]) == ("usage", "day", "UTC")
    assert (answer["from"], answer["to"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    assert answer["totals"] == {
        "requests": 3,
        "failed": 1,
        "prompt_tokens": 9,
        "completion_tokens": 15,
        "cached_tokens": 1,
        "cost_micro": 7,
    }
    assert [(each["day"], each["requests"]) for each in answer["data"]] == [
        ("2026-01-02", 2),
        ("2026-01-03", 1),
    ]


async def test_another_tenants_usage_is_not_in_it(rival, gateway, used):
    assert (await ask(gateway, rival))["totals"]["prompt_tokens"] == 9999


async def test_days_are_those_of_the_tenants_zone(acme, gateway, used):
    acme.tenant.time_zone = "Asia/Tokyo"
    await in_database(acme.tenant.save)

    answer = await ask(gateway, acme)

    assert answer["time_zone"] == "Asia/Tokyo"
    assert [each["day"] for each in answer["data"]] == ["2026-01-02", "2026-01-04"]


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("model", [("tiny", 2), ("large", 1)]),
        ("agent", [(None, 2), ("helper", 1)]),
        ("hour", [("2026-01-02T03:00:00Z", 2), ("2026-01-03T23:00:00Z", 1)]),
    ],
)
async def test_it_is_grouped_as_asked(acme, gateway, used, group_by, groups):
    answer = await ask(gateway, acme, group_by=group_by)

    assert [(each[group_by], each["requests"]) for each in answer["data"]] == groups


async def test_keys_have_names_as_long_as_they_are_there(acme, gateway):
    key = (await in_database(issue_key, tenant=acme.tenant, name="Laptop")).key
    facts = {"tenant_id": acme.tenant.pk, "prompt_tokens": 50}
    await in_database(append_usage, [record(1, api_key_id=key.pk, **facts), record(2, **facts)])

    named = await ask(gateway, acme, group_by="key")
    await in_database(lambda: ApiKey.objects.get(pk=key.pk).delete())
    gateway.worker.gateway.usage.invalidate(lambda *_: True)
    nameless = await ask(gateway, acme, group_by="key")

    labels = [
        [(each["key_id"], each["key"]) for each in told["data"]] for told in (named, nameless)
    ]
    assert labels == [[(None, None), (key.pk, "Laptop")], [(None, None), (key.pk, None)]]


async def test_without_usage_all_is_zero(acme, gateway):
    answer = await gateway.get(acme, "/v1/usage")

    assert (answer.json()["totals"], answer.json()["data"]) == (NOTHING, [])


async def test_a_key_of_any_scope_may_ask(acme, gateway):
    key = await in_database(issue_key, tenant=acme.tenant, name="x", scopes=["embeddings"])

    assert (await ask(gateway, replace(acme, key=key.secret)))["object"] == "usage"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"from": "soon"}, "from"),
        ({"to": "2025-01-01"}, "to"),
        ({"group_by": "tenant"}, "group_by"),
        ({"tenant": "rival"}, "tenant"),
    ],
)
async def test_a_wrong_parameter_is_named(acme, gateway, parameters, param):
    answer = await gateway.get(acme, "/v1/usage", params={**JANUARY, **parameters})

    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        400,
        "invalid_parameter",
        param,
    )


async def test_without_a_key_nothing_is_told(gateway):
    assert (await gateway.get(None, "/v1/usage")).status == 401


async def test_it_is_read_only(acme, gateway):
    assert (await gateway.post(acme, "/v1/usage")).status == 405


async def test_while_the_database_is_away_it_says_so(acme, gateway, monkeypatch):
    await gateway.worker.gateway.keyring.authenticate(acme.key)

    async def away(function, *args, **kwargs):
        raise DatabaseUnavailable

    monkeypatch.setattr(module.GatewayDatabase, "query", away)
    answer = await gateway.get(acme, "/v1/usage")

    assert (answer.status, answer.error["code"]) == (503, "database_unavailable")


async def test_quotas_stand_beside_it(acme, gateway):
    async def quotas(principal):
        assert principal.tenant == "acme"
        begins, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        shared = {"scope": "tenant", "unit": "tokens", "period": "month", "hard": True}
        return [QuotaLine(starts_at=begins, ends_at=ends, limit=100, used=80, held=30, **shared)]

    wired = replace(gateway.worker.gateway, quotas=quotas)
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in acme.bearer.items()]
    scope = {"type": "http", "method": "GET", "path": "/v1/usage", "headers": headers}
    await Door("usage", wired, {"GET": show_usage})(scope, None, send)

    assert json.loads(sent[1]["body"])["quotas"] == [
        {
            "scope": "tenant",
            "unit": "tokens",
            "period": "month",
            "window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-02-01T00:00:00Z"},
            "limit": 100,
            "used": 80,
            "held": 30,
            "remaining": 0,
            "hard": True,
        }
    ]
