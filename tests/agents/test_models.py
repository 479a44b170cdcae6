"""`GET /v1/models`: what a key may use, and nothing else."""

import pytest

from tenants import services as tenants
from tests.fixtures.cast import Member, hire
from tests.fixtures.gateway import in_database

pytestmark = pytest.mark.usefixtures("tiny")


async def names(gateway, member):
    answer = await gateway.get(member, "/v1/models")
    return [model["id"] for model in answer.json()["data"]]


async def test_agents_are_listed_beside_routes(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny)

    assert await names(gateway, acme) == ["helper", "tiny"]


async def test_a_published_agent_appears_within_a_second(gateway, acme, tiny):
    assert await names(gateway, acme) == ["tiny"]

    await in_database(hire, acme.tenant, tiny)
    await gateway.worker.follower.catch_up()

    assert await names(gateway, acme) == ["helper", "tiny"]


async def test_another_tenants_agents_are_not_listed(gateway, acme, rival, tiny):
    await in_database(hire, rival.tenant, tiny)

    assert await names(gateway, acme) == ["tiny"]
    assert await names(gateway, rival) == ["helper", "tiny"]


async def test_a_key_sees_only_the_models_it_may_use(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny)
    issued = await in_database(
        tenants.issue_key, tenant=acme.tenant, name="narrow", allowed_models=["helper"]
    )

    assert await names(gateway, Member(tenant=acme.tenant, key=issued.secret)) == ["helper"]


async def test_one_model_is_shown_in_openais_form(gateway, acme):
    answer = await gateway.get(acme, "/v1/models/tiny")

    model = answer.json()
    assert (model["id"], model["object"], model["owned_by"]) == ("tiny", "model", "tenantry")
    assert model["created"] > 1_700_000_000


@pytest.mark.parametrize("path", ["/v1/models/nobody", "/v1/models/a/b", "/v1/models/x%2Fy"])
async def test_a_model_that_is_not_there(gateway, acme, path):
    answer = await gateway.get(acme, path)

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
