"""What probes and Prometheus read of a gateway."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.gateway import ledger

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize("path", ["/healthz", "/health"])
async def test_it_is_alive(gateway, path):
    answer = await gateway.get(None, path)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/readyz", "/ready"])
async def test_it_is_ready_and_says_how_its_dependencies_are(gateway, path):
    answer = await gateway.get(None, path)

    checks = answer.json()["checks"]
    assert answer.status == 200
    assert {name: check["status"] for name, check in checks.items()} == {
        "database": "up",
        "cache": "up",
        "engines": "up",
    }
    assert checks["database"]["latency_ms"] > 0


async def test_it_counts_requests_under_registered_names_only(gateway, acme):
    await gateway.chat(acme)
    await gateway.chat(acme, model="made-up-by-a-client")

    samples = await scrape(gateway)
    routes = {s.labels["route"] for s in samples if s.name == "tenantry_requests_total"}
    assert "tiny" in routes
    assert "made-up-by-a-client" not in str(samples)


async def test_it_counts_tokens_as_the_ledger_does(gateway, acme, engine):
    before = tokens(await scrape(gateway))
    await gateway.chat(acme, stream=True)

    (event,) = await ledger()
    sent = engine.records.rows[0].usage_written
    grown = {
        kind: count - before.get(kind, 0) for kind, count in tokens(await scrape(gateway)).items()
    }
    assert grown["prompt"] == event.prompt_tokens == sent["prompt_tokens"]
    assert grown["completion"] == event.completion_tokens == sent["completion_tokens"]


async def scrape(gateway):
    answer = await gateway.get(None, "/metrics")
    families = text_string_to_metric_families(answer.body.decode())
    return [sample for family in families for sample in family.samples]


def tokens(samples):
    found = [
        s for s in samples if s.name == "tenantry_tokens_total" and s.labels["route"] == "tiny"
    ]
    return {sample.labels["kind"]: sample.value for sample in found}
