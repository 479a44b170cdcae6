"""What probes and Prometheus read of a gateway."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference import services
from inference.endpoints.manual import add_static_endpoint, delete_endpoint
from inference.models import ModelEndpoint, ModelRoute
from inference.route_targets import WantedTarget
from kernel import metrics
from tests.fixtures.gateway import in_database, ledger

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


async def test_series_of_an_endpoint_end_with_it(gateway, acme):
    await gateway.chat(acme)
    (endpoint,) = endpoints_in(await scrape(gateway))

    await in_database(lambda: delete_endpoint(endpoint=ModelEndpoint.objects.get()))
    await gateway.worker.follower.catch_up()

    assert endpoint
    assert endpoints_in(await scrape(gateway)) == set()


async def test_series_of_the_endpoints_of_every_pool_of_a_route_are_served(gateway, acme):
    spare = await in_database(add_fallback, "http://127.0.0.1:1")
    await gateway.worker.follower.catch_up()
    metrics.series(metrics.breaker_state, "spare", spare.public_id).set(2)

    assert spare.public_id in endpoints_in(await scrape(gateway))
    engines = (await gateway.get(None, "/readyz")).json()["checks"]["engines"]
    assert engines["detail"] == "2 of 2 endpoints ready"


def add_fallback(address):
    """The endpoint of a pool to which the route `tiny` falls back."""
    pool = services.create_pool(name="spare", engine="vllm")
    route = ModelRoute.objects.get(name="tiny")
    targets = [WantedTarget(pool=pool, role="fallback")]
    services.save_route(route=route, targets=targets)
    return add_static_endpoint(pool=pool, address=address, model="tiny")


def endpoints_in(samples):
    return {sample.labels["endpoint"] for sample in samples if "endpoint" in sample.labels}


async def scrape(gateway):
    answer = await gateway.get(None, "/metrics")
    families = text_string_to_metric_families(answer.body.decode())
    return [sample for family in families for sample in family.samples]


def tokens(samples):
    found = [
        s for s in samples if s.name == "tenantry_tokens_total" and s.labels["route"] == "tiny"
    ]
    return {sample.labels["kind"]: sample.value for sample in found}
