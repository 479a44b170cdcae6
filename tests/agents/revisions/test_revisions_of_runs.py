"""Revisions and variables in runs: a conversation stays with the one it was begun with."""

import pytest

from agents.models import Conversation, Run
from agents.rollouts import lifecycle
from tests.agents.doors.websocket.test_socket import CREATE, socket
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.rollouts import make_revisions, start
from tests.fixtures.runs.runs import TERMINAL, begin_conversation, respond

pytestmark = pytest.mark.usefixtures("tiny")

GUIDE = {"slug": "guide", "instructions": "Guide to {{city}}.", "variables": {"city": "Riga"}}


@pytest.fixture
def helper(acme, tiny):
    """Serves revision 1 of 2."""
    return make_revisions(acme.tenant, tiny)


def told(engine):
    """What the model was told first, by request."""
    return [each.body["messages"][0]["content"] for each in engine.records]


async def say(gateway, member, text="hello", **body):
    answer = await gateway.post(
        member, "/v1/chat", json={"input_text": text, "agent": "helper", **body}
    )
    assert answer.status == 200, answer.body
    return answer.json()


def revisions_of_runs():
    return list(Run.objects.order_by("pk").values_list("agent_revision", flat=True))


async def test_a_conversation_stays_with_what_it_was_begun_with(gateway, acme, helper, engine):
    await in_database(begin_conversation, acme)
    await respond(gateway, acme, model="helper", conversation="conv_1")
    talk = await in_database(Conversation.objects.get)
    assert (talk.agent, talk.revision) == ("helper", 1)

    await in_database(start, helper, share=99)
    for _ in range(4):
        await respond(gateway, acme, model="helper", conversation="conv_1")

    assert set(told(engine)) == {"revision 1"}


async def test_new_sessions_are_shared_out_and_each_stays(gateway, acme, helper, engine):
    await in_database(start, helper, share=50)
    sessions = [(await say(gateway, acme))["session_id"] for _ in range(12)]
    for session in sessions:
        await say(gateway, acme, session_id=session)

    texts = told(engine)

    assert texts[:12] == texts[12:]
    assert set(texts) == {"revision 1", "revision 2"}


async def test_a_conversation_leaves_a_candidate_that_was_taken_back(gateway, acme, helper, engine):
    rollout = await in_database(start, helper, share=99)
    sessions = [(await say(gateway, acme))["session_id"] for _ in range(3)]
    assert "revision 2" in told(engine)

    await in_database(lifecycle.roll_back_candidate, rollout=rollout, reason="It failed.")
    gateway.worker.gateway.catalog.forget_tenant(acme.tenant.pk)
    for session in sessions:
        await say(gateway, acme, session_id=session)

    assert told(engine)[3:] == ["revision 1"] * 3


async def test_a_chain_of_responses_stays_with_its_revision(gateway, acme, helper, engine):
    first = (await respond(gateway, acme, model="helper")).json()["id"]
    await in_database(start, helper, share=99)
    for _ in range(4):
        await respond(gateway, acme, model="helper", previous_response_id=first)

    assert set(told(engine)) == {"revision 1"}


async def test_one_user_of_responses_stays_with_one_revision(gateway, acme, helper, engine):
    await in_database(start, helper, share=50)
    for user in [f"user-{number}" for number in range(12)] * 2:
        await respond(gateway, acme, model="helper", user=user)

    texts = told(engine)

    assert texts[:12] == texts[12:]
    assert set(texts) == {"revision 1", "revision 2"}


async def test_a_number_serves_exactly_that_revision(gateway, acme, helper, engine):
    answer = await respond(gateway, acme, model="helper@2")
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "helper@2"})
        await client.hear_until(*TERMINAL)
    await say(gateway, acme, agent="helper@2")

    assert answer.json()["model"] == "helper@2"
    assert told(engine) == ["revision 2"] * 3
    assert await in_database(revisions_of_runs) == [2, 2, 2]


async def test_revisions_of_others_look_as_if_they_were_not_there(gateway, acme, rival, helper):
    answers = [
        await respond(gateway, member, model=model)
        for member, model in ((rival, "helper@2"), (acme, "helper@3"), (acme, "nobody@1"))
    ]

    bodies = {
        answer.body.replace(model, b"MODEL")
        for answer, model in zip(answers, (b"helper@2", b"helper@3", b"nobody@1"), strict=True)
    }
    assert {answer.status for answer in answers} == {404}
    assert len(bodies) == 1


async def test_variables_are_filled_in_at_every_door(gateway, acme, tiny, engine):
    await in_database(hire, acme.tenant, tiny, **GUIDE)
    oslo = {"variables": {"city": "Oslo"}}

    await respond(gateway, acme, model="guide", **oslo)
    await say(gateway, acme, agent="guide", **oslo)
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "guide", **oslo})
        await client.hear_until(*TERMINAL)
    await respond(gateway, acme, model="guide")

    assert told(engine) == [*["Guide to Oslo."] * 3, "Guide to Riga."]


async def test_unknown_variables_are_refused_and_nothing_is_begun(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny, **GUIDE)
    wrong = {"variables": {"town": "Oslo"}}

    whole = await respond(gateway, acme, model="guide", **wrong)
    plain = await respond(gateway, acme, **wrong)
    simple = await gateway.post(
        acme, "/v1/chat", json={"input_text": "x", "agent": "guide", **wrong}
    )
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "guide", "client_id": "c", **wrong})
        *_, frame = await client.hear_until("error")

    for answer in (whole, plain, simple):
        assert (answer.status, answer.error["param"]) == (400, "variables.town")
    assert frame["error"]["param"] == "variables.town"
    assert frame["client_id"] == "c"
    assert not await in_database(Run.objects.exists)
    assert not await in_database(Conversation.objects.exists)
