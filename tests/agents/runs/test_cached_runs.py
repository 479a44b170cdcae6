"""Kept answers in runs: free of tokens, told as usual, and never another tenant's."""

import asyncio

import pytest

from agents import services
from agents.erasure.cached_responses import erase_cached_responses
from agents.models import Run
from agents.services import create_agent, publish, save_draft
from kernel.ids import new_id
from tests.agents.doors.http.test_cached_responses import CACHED, is_hit
from tests.agents.runs.test_agents_with_tools import give, says_after
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.limits.limits import own_quota
from tests.fixtures.runs.runs import begin_conversation, frames_of, output_text, respond, text_of

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
async def helper(acme, tiny):
    await in_database(erase_cached_responses, acme.tenant.pk)
    return await in_database(hire, acme.tenant, tiny, **CACHED)


async def ask(gateway, member, text="hello", **body):
    answer = await respond(gateway, member, text, **{"model": "helper", **body})
    assert answer.status == 200, answer.body
    return answer


def hits():
    return list(Run.objects.order_by("pk").values_list("cache_hit", "steps"))


@pytest.mark.usefixtures("helper")
async def test_an_equal_question_gets_the_kept_answer_and_takes_no_tokens(gateway, acme, engine):
    one, other = await ask(gateway, acme), await ask(gateway, acme)

    assert [is_hit(one), is_hit(other)] == [False, True]
    assert output_text(one.json()) == output_text(other.json()) != ""
    assert other.json()["usage"]["total_tokens"] == 0
    assert one.json()["id"] != other.json()["id"]
    assert len(engine.records) == 1
    assert await in_database(hits) == [(False, 1), (True, 0)]
    asked, again = await ledger(rows=2)
    saved = asked.prompt_tokens + asked.completion_tokens
    assert (again.prompt_tokens, again.completion_tokens, again.status) == (0, 0, "completed")
    assert again.decision == {"cache": "hit", "saved_tokens": saved}
    assert (again.agent, again.agent_revision, again.route) == ("helper", 1, "tiny")
    assert again.client_request_id == other.json()["id"]


@pytest.mark.usefixtures("helper")
async def test_a_hit_is_told_and_kept_as_any_other_answer(gateway, acme, engine):
    one = frames_of(await ask(gateway, acme, stream=True))
    other = frames_of(await ask(gateway, acme, stream=True))

    assert text_of(one) == text_of(other)
    kinds = [frame["type"] for frame in other]
    assert [frame["sequence_number"] for frame in other] == list(range(len(other)))
    assert kinds == list(dict.fromkeys(frame["type"] for frame in one))
    stored = await gateway.get(acme, f"/v1/responses/{other[0]['response']['id']}")
    assert output_text(stored.json()) == text_of(one)


@pytest.mark.usefixtures("helper")
async def test_two_tenants_never_share_an_answer(gateway, acme, rival, tiny, engine):
    await in_database(erase_cached_responses, rival.tenant.pk)
    await in_database(hire, rival.tenant, tiny, **CACHED)
    engine.behave(Behaviour(word="acmes"), Behaviour(word="rivals"))

    answers = [await ask(gateway, member) for member in (acme, rival, acme, rival)]

    assert [is_hit(each) for each in answers] == [False, False, True, True]
    assert ["acmes0" in output_text(each.json()) for each in answers] == [True, False, True, False]


async def test_two_revisions_never_share_an_answer(gateway, acme, helper, engine):
    await ask(gateway, acme)
    engine.behave(Behaviour(word="second"), Behaviour(word="third"))
    await in_database(publish_again, helper)
    gateway.worker.gateway.catalog.forget_tenant(acme.tenant.pk)

    new, pinned = await ask(gateway, acme), await ask(gateway, acme, model="helper@1")

    assert (is_hit(new), is_hit(pinned)) == (False, True)
    assert "second0" in output_text(new.json())
    assert "second0" not in output_text(pinned.json())


def publish_again(agent):
    """Nothing that an engine is told differs."""
    agent.overflow = "summarise"
    services.save_draft(agent=agent)
    services.publish(agent=agent)


@pytest.mark.usefixtures("helper")
async def test_what_was_said_before_is_a_part_of_the_question(gateway, acme, engine):
    await in_database(begin_conversation, acme)
    await ask(gateway, acme)

    again = await ask(gateway, acme, conversation="conv_1")
    later = await ask(gateway, acme, conversation="conv_1")

    assert (is_hit(again), is_hit(later)) == (True, False)


@pytest.mark.usefixtures("helper")
async def test_what_is_not_to_be_stored_is_not_kept(gateway, acme, engine):
    for _ in range(2):
        assert not is_hit(await ask(gateway, acme, store=False))


@pytest.mark.usefixtures("helper")
async def test_an_answer_that_was_cut_short_is_not_kept(gateway, acme, engine):
    for _ in range(2):
        assert not is_hit(await ask(gateway, acme, max_output_tokens=3))


async def test_an_agent_with_tools_is_always_asked(gateway, acme, tiny, engine):
    await in_database(erase_cached_responses, acme.tenant.pk)
    await in_database(with_calculator, acme, tiny)
    engine.behave(says_after(("calc", {"expression": "1"})))

    await ask(gateway, acme)
    await ask(gateway, acme)

    assert len(engine.records) == 4
    assert {hit for hit, _ in await in_database(hits)} == {False}


def with_calculator(member, route):
    give(member, "calc", kind="builtin", settings={"function": "calculator"})
    agent = create_agent(tenant=member.tenant, route=route, slug="helper", name="Helper", **CACHED)
    agent.tools = ["calc"]
    save_draft(agent=agent)
    publish(agent=agent)


@pytest.mark.usefixtures("helper")
async def test_functions_of_the_client_are_offered_each_time(gateway, acme, engine):
    paint = {"type": "function", "name": "paint", "parameters": {"type": "object"}}
    for _ in range(2):
        assert not is_hit(await ask(gateway, acme, tools=[paint]))


@pytest.mark.usefixtures("helper")
async def test_a_used_up_quota_of_tokens_does_not_stop_a_hit(gateway, acme, engine):
    await ask(gateway, acme)
    await in_database(own_quota, acme.tenant, limit=1)
    async with asyncio.timeout(5):
        while (await respond(gateway, acme, new_id("question"))).status != 429:
            await asyncio.sleep(0.05)

    assert is_hit(await ask(gateway, acme))
