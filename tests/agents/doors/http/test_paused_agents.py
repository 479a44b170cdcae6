"""A paused agent refuses new requests at every door; what it has accepted is executed."""

import pytest

from agents import services
from agents.doors.http.models import describe_models
from agents.runtime.catalog.agents import PublishedAgent
from inference.fleet.snapshot import Fleet, Pool, Route
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database
from tests.fixtures.limits.principals import principal


@pytest.fixture
def agent(acme, tiny):
    return hire(acme.tenant, tiny)


async def paused(gateway, member, agent):
    """Pause the agent, and wait until the gateway has received it."""
    await in_database(services.pause_agent, agent=agent)
    while (await gateway.get(member, "/v1/models/helper")).status == 200:
        pass


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "hi"}),
        ("/v1/responses", {"input": "hi", "background": True}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat", {"input_text": "hi"}),
    ],
)
async def test_every_door_refuses_a_paused_agent(gateway, acme, agent, path, body):
    await paused(gateway, acme, agent)

    name = "agent" if path == "/v1/chat" else "model"
    answers = [
        await gateway.post(acme, path, json={**body, name: model})
        for model in ("helper", "helper@1")
    ]

    assert {(each.status, each.error["code"]) for each in answers} == {(409, "agent_paused")}


async def test_a_resumed_agent_answers_again(gateway, acme, agent):
    await paused(gateway, acme, agent)
    await in_database(services.resume_agent, agent=agent)

    while (await gateway.get(acme, "/v1/models/helper")).status != 200:
        pass
    answer = await gateway.post(acme, "/v1/responses", json={"model": "helper", "input": "hi"})

    assert answer.status == 200


def test_a_paused_agent_hides_the_route_of_its_name_and_is_not_listed():
    pool = Pool(name="p", engine="vllm")
    route = Route(name="tiny", purpose="chat", context_length=1, pool=pool, created=5)
    agent = PublishedAgent(
        slug="tiny", name="T", revision=1, instructions="", route="tiny", is_paused=True
    )

    listed = describe_models(
        principal=principal(), agents={"tiny": agent}, fleet=Fleet(routes={"tiny": route})
    )

    assert not listed
