"""`GET /v1/models`: what a key may use, and nothing else."""

import pytest

from tenants import services as tenants
from tests.fixtures.cast import Member, hire
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.rollouts import make_revisions

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


async def test_a_revision_is_shown_by_its_number(gateway, acme, tiny):
    await in_database(make_revisions, acme.tenant, tiny, of=3)

    shown = [(await gateway.get(acme, f"/v1/models/helper@{number}")).json() for number in (1, 2)]

    assert [each["id"] for each in shown] == ["helper@1", "helper@2"]
    assert {each["owned_by"] for each in shown} == {"acme"}
    assert await names(gateway, acme) == ["helper", "tiny"]


async def test_a_revision_that_is_not_there_and_one_of_another_tenant_look_the_same(
    gateway, acme, rival, tiny
):
    await in_database(make_revisions, acme.tenant, tiny)
    await in_database(make_revisions, rival.tenant, tiny, slug="theirs")
    narrow = await in_database(
        tenants.issue_key, tenant=acme.tenant, name="narrow", allowed_models=["tiny"]
    )
    asked = [
        *((acme, f"helper@{number}") for number in ("3", "0", "01", "x", "")),
        *((acme, name) for name in ("theirs@1", "nobody@1", "tiny@1", "nobody")),
        (Member(tenant=acme.tenant, key=narrow.secret), "helper@1"),
    ]

    answers = [await gateway.get(member, f"/v1/models/{name}") for member, name in asked]

    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
