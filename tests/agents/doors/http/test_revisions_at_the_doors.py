"""Revisions as tenants meet them: by number, by share, and while new ones are published."""

import asyncio
from collections import Counter

import pytest

from agents import services
from agents.rollouts import lifecycle
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.rollouts import make_revisions, start
from tests.fixtures.runs.runs import respond

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def helper(acme, tiny):
    """Serves revision 1 of 2."""
    return make_revisions(acme.tenant, tiny)


def told(engine):
    """What the model was told first, by request."""
    return [each.body["messages"][0]["content"] for each in engine.records]


async def test_a_number_serves_exactly_that_revision(gateway, acme, helper, engine):
    for model in ("helper", "helper@1", "helper@2"):
        assert (await gateway.chat(acme, model=model)).json()["model"] == model

    assert told(engine) == ["revision 1", "revision 1", "revision 2"]
    rows = await ledger(rows=3)
    assert [(each.agent, each.agent_revision) for each in rows] == [
        ("helper", 1), ("helper", 1), ("helper", 2),
    ]  # fmt: skip


async def test_what_is_not_there_and_what_is_anothers_look_the_same(
    gateway, acme, rival, helper, tiny
):
    await in_database(hire, rival.tenant, tiny, slug="theirs")

    bodies = {
        (await gateway.chat(acme, model=model)).body.replace(model.encode(), b"MODEL")
        for model in ("theirs@1", "nobody@1", "helper@3", "helper@0", "theirs", "tiny@1")
    }

    assert len(bodies) == 1
    assert b"model_not_found" in bodies.pop()


async def test_a_new_revision_can_be_asked_for_as_soon_as_it_is_published(gateway, acme, helper):
    assert (await gateway.chat(acme, model="helper@3")).status == 404

    await in_database(publish, helper, "revision 3")

    async with asyncio.timeout(3):
        while (await gateway.chat(acme, model="helper@3")).status != 200:
            await asyncio.sleep(0.02)


def publish(agent, instructions):
    agent.instructions = instructions
    services.save_draft(agent=agent)
    return services.publish(agent=agent)


async def test_running_answers_keep_their_revision_while_others_are_published(
    gateway, acme, helper, engine
):
    engine.behave(Behaviour(tokens=4, token_seconds=0.02))
    published = asyncio.Event()
    asked = 0

    async def ask_on():
        nonlocal asked
        while not published.is_set():
            asked += 1
            answer = await gateway.chat(acme, f"number {asked}", model="helper", stream=True)
            assert answer.events[-1] == "[DONE]"

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(ask_on())
        for number in (3, 4, 5):
            await in_database(publish, helper, f"revision {number}")
            await eventually(lambda text=f"revision {number}": text in told(engine))
        published.set()

    rows = await ledger(rows=asked)
    recorded = Counter(f"revision {each.agent_revision}" for each in rows)
    assert {each.status for each in rows} == {"completed"}
    assert recorded == Counter(told(engine))
    assert {"revision 3", "revision 4", "revision 5"} <= set(recorded)


async def test_one_user_stays_with_one_revision(gateway, acme, helper, engine):
    await in_database(start, helper, share=50)
    users = [f"user-{number}" for number in range(12)]
    for user in users * 3:
        await gateway.chat(acme, model="helper", user=user)

    texts = told(engine)

    assert texts[:12] == texts[12:24] == texts[24:]
    assert set(texts) == {"revision 1", "revision 2"}


async def test_a_candidate_that_was_taken_back_serves_nobody_within_a_second(
    gateway, acme, helper, engine
):
    rollout = await in_database(start, helper, share=99)
    for user in "uvw":  # one in a hundred is not served the candidate
        await gateway.chat(acme, model="helper", user=user)
        if told(engine)[-1] == "revision 2":
            break

    await in_database(lifecycle.roll_back_candidate, rollout=rollout, reason="It failed.")
    await asyncio.sleep(1)
    await gateway.chat(acme, model="helper", user=user)

    assert told(engine)[-2:] == ["revision 2", "revision 1"]


async def test_variables_are_filled_in_and_unknown_ones_refused(gateway, acme, tiny, engine):
    draft = {"slug": "guide", "instructions": "Guide to {{city}}.", "variables": {"city": "Riga"}}
    await in_database(hire, acme.tenant, tiny, **draft)

    await gateway.chat(acme, model="guide", variables={"city": "{{city}} & Oslo"})
    refused = await gateway.chat(acme, model="guide", variables={"town": "Oslo"})

    assert told(engine) == ["Guide to {{city}} & Oslo."]
    assert (refused.status, refused.error["param"]) == (400, "variables.town")


@pytest.mark.parametrize("variables", [{"city": 1}, ["city"], {"city": "x" * 4001}, {"x" * 65: ""}])
async def test_what_is_no_text_is_no_variable(gateway, acme, variables):
    assert (await gateway.chat(acme, variables=variables)).status == 400


@pytest.mark.parametrize("variables", [None, {"city": None}], ids=str)
async def test_a_variable_that_is_null_has_its_default(gateway, acme, tiny, engine, variables):
    draft = {"slug": "guide", "instructions": "Guide to {{city}}.", "variables": {"city": "Riga"}}
    await in_database(hire, acme.tenant, tiny, **draft)

    chat = await gateway.chat(acme, model="guide", variables=variables)
    response = await respond(gateway, acme, model="guide", variables=variables)

    assert (chat.status, response.status) == (200, 200)
    assert told(engine) == ["Guide to Riga."] * 2


async def test_the_engine_is_told_neither_the_user_nor_variables(gateway, acme, engine):
    await gateway.chat(acme, user="u1", variables={})

    (record,) = engine.records
    assert {"user", "variables"}.isdisjoint(record.body)
