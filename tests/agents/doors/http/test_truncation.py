"""`truncation`: what does not fit is left out only where somebody has said so."""

import pytest

from inference.models import ModelRoute
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database

pytestmark = pytest.mark.usefixtures("small")
"""The gateway starts after the route is there, so it serves it from its first request on."""

LONG = "word " * 300
"""Some 500 tokens by the gateway's estimate, and certainly 300."""


@pytest.fixture
def small(tiny):
    ModelRoute.objects.filter(pk=tiny.pk).update(context_length=1000)
    tiny.refresh_from_db()
    return tiny


async def respond(gateway, member, texts, **body):
    said = [{"role": "user", "content": f"{n} {text}"} for n, text in enumerate(texts)]
    return await gateway.post(
        member, "/v1/responses", json={"model": "tiny", "input": said, **body}
    )


def told(engine):
    return [message["content"].split()[0] for message in engine.records.last.body["messages"]]


@pytest.mark.parametrize("asked", [{}, {"truncation": "disabled"}, {"truncation": None}], ids=str)
async def test_a_model_route_never_leaves_anything_out_by_itself(
    gateway, acme, small, engine, asked
):
    answer = await respond(gateway, acme, [LONG] * 9, **asked)

    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert answer.error["param"] == "input"
    assert not len(engine.records)


async def test_what_may_fit_is_sent_whole_and_the_engine_decides(gateway, acme, small, engine):
    answer = await respond(gateway, acme, [LONG] * 2)

    assert (answer.status, answer.json()["truncation"]) == (200, "disabled")
    assert told(engine) == ["0", "1"]


async def test_with_auto_the_oldest_is_left_out(gateway, acme, small, engine):
    answer = await respond(gateway, acme, [LONG] * 9, truncation="auto")

    assert (answer.status, answer.json()["truncation"]) == (200, "auto")
    assert told(engine) == ["8"]


async def test_an_agent_does_as_its_settings_say_and_says_so(gateway, acme, small, engine):
    await in_database(hire, acme.tenant, small)

    answer = await respond(gateway, acme, [LONG] * 9, model="helper")
    refused = await respond(gateway, acme, [LONG] * 9, model="helper", truncation="disabled")

    assert (answer.status, answer.json()["truncation"]) == (200, "auto")
    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")


async def test_a_conversation_is_no_exception(gateway, acme, small, engine):
    talk = (await gateway.post(acme, "/v1/conversations", json={})).json()["id"]
    items = [{"role": "user", "content": LONG}] * 9
    await gateway.post(acme, f"/v1/conversations/{talk}/items", json={"items": items})

    refused = await respond(gateway, acme, ["now?"], conversation=talk)
    answer = await respond(gateway, acme, ["now?"], conversation=talk, truncation="auto")

    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")
    assert (answer.status, answer.json()["truncation"]) == (200, "auto")


async def test_a_session_of_the_simplest_door_is_never_refused_for_its_length(
    gateway, acme, small, engine
):
    session = {}
    for n in range(4):
        asked = {"agent": "tiny", "input_text": f"{n} {LONG}", **session}
        answer = await gateway.post(acme, "/v1/chat", json=asked)
        session = {"session_id": answer.json()["session_id"]}

    assert answer.status == 200
    assert "0" not in told(engine)
