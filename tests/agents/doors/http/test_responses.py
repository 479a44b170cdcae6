"""`/v1/responses` over REST: whole, streamed, in the background; read, followed, cancelled."""

import asyncio

import pytest

from agents.models import Item, Run
from tests.fakes.model_server import Behaviour, Fault, Outcome
from tests.fixtures.cast import hire
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import (
    frames_of,
    frames_until,
    lose_log,
    open_stream,
    output_text,
    respond,
    run_reaches,
    run_row,
    text_of,
)

pytestmark = pytest.mark.usefixtures("tiny")


async def test_a_whole_response_says_what_the_engine_said(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))

    answer = await respond(gateway, acme)

    response = answer.json()
    assert (answer.status, response["status"]) == (200, "completed")
    assert output_text(response) == "tok0 tok1 tok2"
    sent = engine.records.rows[0].usage_written
    assert response["usage"]["output_tokens"] == sent["completion_tokens"]


async def test_it_is_billed_once_under_its_id(gateway, acme):
    response = (await respond(gateway, acme)).json()

    (event,) = await ledger()
    assert (event.client_request_id, event.door) == (response["id"], "responses")
    assert event.completion_tokens == response["usage"]["output_tokens"]


async def test_a_stored_response_can_be_read_again(gateway, acme):
    response = (await respond(gateway, acme, metadata={"a": "b"}, instructions="Be brief.")).json()

    again = (await gateway.get(acme, f"/v1/responses/{response['id']}")).json()

    assert {**again, "completed_at": 0} == {**response, "completed_at": 0}


async def test_a_stream_is_numbered_and_ends_once(gateway, acme, engine):
    engine.behave(Behaviour(tokens=5, token_seconds=0.03))

    frames = frames_of(await respond(gateway, acme, stream=True))

    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert [frame["type"] for frame in frames[:2]] == ["response.created", "response.in_progress"]
    assert [f["type"] for f in frames].count("response.completed") == 1
    assert text_of(frames) == output_text(frames[-1]["response"]) == "tok0 tok1 tok2 tok3 tok4"


async def test_a_stream_can_be_followed_again_from_anywhere(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.02))
    frames = frames_of(await respond(gateway, acme, stream=True))
    path = f"/v1/responses/{frames[0]['response']['id']}?stream=true"

    assert frames_of(await gateway.get(acme, path)) == frames
    for after in (0, 4, len(frames) - 1):
        again = await gateway.get(acme, f"{path}&starting_after={after}")
        assert frames_of(again) == frames[after + 1 :]


async def test_resuming_beyond_the_log_is_refused(gateway, acme):
    response = (await respond(gateway, acme)).json()

    path = f"/v1/responses/{response['id']}?stream=true&starting_after=9999"
    answer = await gateway.get(acme, path)

    assert (answer.status, answer.error["param"]) == (400, "starting_after")


async def test_when_the_log_is_gone_it_is_rebuilt_from_items(gateway, acme, engine):
    engine.behave(Behaviour(tokens=10, token_seconds=0.01))
    frames = frames_of(await respond(gateway, acme, stream=True))
    run_id = frames[0]["response"]["id"]
    await lose_log(gateway, run_id)

    path = f"/v1/responses/{run_id}?stream=true"
    whole = frames_of(await gateway.get(acme, path))
    rest = frames_of(await gateway.get(acme, f"{path}&starting_after=3"))

    assert text_of(whole) == text_of(frames)
    assert [frame["sequence_number"] for frame in whole] == list(range(len(whole)))
    assert [frame["type"] for frame in rest] == ["response.completed"]
    assert rest[0]["response"] == frames[-1]["response"]
    assert len(engine.records) == 1


async def test_what_was_not_stored_is_not_resumable_when_its_log_is_gone(gateway, acme, engine):
    frames = frames_of(await respond(gateway, acme, stream=True, store=False))
    run_id = frames[0]["response"]["id"]
    await lose_log(gateway, run_id)

    answer = await gateway.get(acme, f"/v1/responses/{run_id}?stream=true")

    assert (answer.status, answer.error["code"]) == (409, "not_resumable")
    assert len(engine.records) == 1


async def test_what_is_not_stored_leaves_no_text(gateway, acme):
    answer = await respond(gateway, acme, store=False, instructions="secret", metadata={"a": "b"})

    run_id = answer.json()["id"]
    row = await run_reaches(run_id, "completed")
    assert await in_database(Item.objects.count) == 0
    assert "secret" not in str(row.request)
    assert (await gateway.get(acme, f"/v1/responses/{run_id}")).status == 404


async def test_a_background_response_goes_on_alone(gateway, acme, engine):
    engine.behave(Behaviour(tokens=10, token_seconds=0.03))

    answer = await respond(gateway, acme, background=True)

    begun = answer.json()
    assert (begun["status"], begun["background"]) == ("in_progress", True)
    await run_reaches(begun["id"], "completed")
    response = (await gateway.get(acme, f"/v1/responses/{begun['id']}")).json()
    assert output_text(response).startswith("tok0 tok1")


async def test_cancelling_a_background_response_stops_the_engine(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.02))
    begun = (await respond(gateway, acme, background=True)).json()
    await eventually(lambda: len(engine.records) == 1)

    answer = await gateway.post(acme, f"/v1/responses/{begun['id']}/cancel")

    assert (answer.status, answer.json()["status"]) == (200, "cancelled")
    await eventually(lambda: engine.records.rows[0].outcome is Outcome.ABORTED, within=1)
    (event,) = await ledger()
    assert event.status == "cancelled"


async def test_cancelling_what_has_ended_changes_nothing(gateway, acme):
    response = (await respond(gateway, acme)).json()

    again = (await gateway.post(acme, f"/v1/responses/{response['id']}/cancel")).json()

    assert again["status"] == "completed"


async def test_a_client_that_leaves_what_it_does_not_store_cancels_it(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.02))
    answer = await open_stream(gateway.client, gateway.url, acme, store=False)
    frames = await frames_until(answer, "response.output_text.delta")

    answer.close()

    await eventually(lambda: engine.records.rows[0].outcome is Outcome.ABORTED, within=1)
    await run_reaches(frames[0]["response"]["id"], "cancelled")
    (event,) = await ledger()
    assert event.status == "client_left"


async def test_a_client_that_leaves_a_stored_stream_can_come_back(gateway, acme, engine):
    engine.behave(Behaviour(tokens=30, token_seconds=0.02))
    answer = await open_stream(gateway.client, gateway.url, acme)
    frames = await frames_until(answer, "response.output_text.delta")
    answer.close()

    run_id, last = frames[0]["response"]["id"], frames[-1]["sequence_number"]
    path = f"/v1/responses/{run_id}?stream=true&starting_after={last}"
    rest = frames_of(await gateway.get(acme, path))

    whole = frames + rest
    assert [frame["sequence_number"] for frame in whole] == list(range(len(whole)))
    assert text_of(whole) == output_text(rest[-1]["response"])
    assert len(engine.records) == 1


async def test_a_failed_engine_is_an_error_of_the_whole_response(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=2))

    answer = await respond(gateway, acme)

    assert (answer.status, answer.error["type"]) == (502, "server_error")
    row = await in_database(Run.objects.get)
    assert (row.state, row.error["code"]) == ("failed", "upstream_broken")


async def test_a_failed_engine_ends_a_stream_with_one_failed_event(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=2))

    frames = frames_of(await respond(gateway, acme, stream=True))

    assert frames[-1]["type"] == "response.failed"
    assert frames[-1]["response"]["error"]["reason"] == "upstream_broken"


async def test_a_limit_of_tokens_makes_it_incomplete(gateway, acme):
    response = (await respond(gateway, acme, max_output_tokens=2)).json()

    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


async def test_an_agent_answers_under_its_revision(gateway, acme, engine, tiny):
    await in_database(hire, acme.tenant, tiny, instructions="Be brief.")

    response = (await respond(gateway, acme, model="helper")).json()

    row = await run_row(response["id"])
    assert (row.agent, row.agent_revision, row.route) == ("helper", 1, "tiny")
    assert engine.records.rows[0].body["messages"][0]["content"] == "Be brief."


async def test_a_response_may_follow_another_one(gateway, acme, engine):
    first = (await respond(gateway, acme, "one")).json()

    second = await respond(gateway, acme, "two", previous_response_id=first["id"])

    asked = [message["content"] for message in engine.records.rows[1].body["messages"]]
    assert asked == ["one", output_text(first), "two"]
    assert second.json()["previous_response_id"] == first["id"]


async def test_input_items_are_listed_in_pages(gateway, acme):
    said = [{"role": "user", "content": str(n)} for n in range(5)]
    response = (await respond(gateway, acme, said)).json()
    path = f"/v1/responses/{response['id']}/input_items"

    first = (await gateway.get(acme, f"{path}?limit=2&order=asc")).json()
    rest = (await gateway.get(acme, f"{path}?order=asc&after={first['last_id']}")).json()

    texts = [item["content"][0]["text"] for item in first["data"] + rest["data"]]
    assert texts == ["0", "1", "2", "3", "4"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_a_deleted_response_is_gone(gateway, acme):
    response = (await respond(gateway, acme)).json()
    path = f"/v1/responses/{response['id']}"

    answer = await gateway.ask("DELETE", acme, path)

    assert answer.json() == {"id": response["id"], "object": "response", "deleted": True}
    for gone in (path, f"{path}?stream=true", f"{path}/input_items"):
        assert (await gateway.get(acme, gone)).status == 404
    assert await in_database(Item.objects.count) == 0


async def test_what_is_being_made_cannot_be_deleted(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.02))
    begun = (await respond(gateway, acme, background=True)).json()
    await run_reaches(begun["id"], "in_progress")

    answer = await gateway.ask("DELETE", acme, f"/v1/responses/{begun['id']}")

    assert (answer.status, answer.error["code"]) == (409, "run_is_active")
    await gateway.post(acme, f"/v1/responses/{begun['id']}/cancel")


DOORS = [
    ("GET", ""),
    ("GET", "?stream=true"),
    ("GET", "?stream=true&starting_after=1"),
    ("DELETE", ""),
    ("POST", "/cancel"),
    ("GET", "/input_items"),
]


@pytest.mark.parametrize(("method", "rest"), DOORS)
async def test_foreign_responses_are_as_if_they_were_not(gateway, acme, rival, method, rest):
    response = (await respond(gateway, acme)).json()

    foreign = await gateway.ask(method, rival, f"/v1/responses/{response['id']}{rest}")
    none = await gateway.ask(method, rival, f"/v1/responses/resp_nothing{rest}")

    assert foreign.status == none.status == 404
    assert foreign.body == none.body


async def test_a_foreign_response_cannot_be_followed_up(gateway, acme, rival):
    response = (await respond(gateway, acme)).json()

    foreign = await respond(gateway, rival, previous_response_id=response["id"])
    none = await respond(gateway, rival, previous_response_id="resp_nothing")

    assert foreign.status == none.status == 404
    assert foreign.body == none.body
    assert await in_database(Run.objects.count) == 1


async def test_a_refused_run_leaves_no_row(gateway, acme):
    answer = await respond(gateway, acme, model="nobody")

    assert answer.status == 404
    assert await in_database(Run.objects.count) == 0


WRONG = [
    ({"input": []}, "input"),
    ({"input": 7}, "input"),
    ({"temperature": 9}, "temperature"),
    ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "conversation"),
    ({"background": True, "store": False}, "store"),
    ({"tools": [{"name": "look"}]}, "tools"),
    ({"text": {"format": {"type": "poem"}}}, "text.format"),
    ({"tool_choice": {"type": "allowed"}}, "tool_choice"),
    ({"metadata": {"a": 1}}, "metadata"),
]


@pytest.mark.parametrize(("body", "param"), WRONG)
async def test_what_is_wrong_is_named(gateway, acme, engine, body, param):
    answer = await gateway.post(acme, "/v1/responses", json={"model": "tiny", "input": "x", **body})

    assert answer.status == 400
    assert answer.error["param"].startswith(param)
    assert not len(engine.records)


async def test_tools_of_the_client_reach_the_engine(gateway, acme, engine):
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}

    response = await respond(
        gateway, acme, tools=[tool], tool_choice={"type": "function", "name": "look"}
    )

    body = engine.records.rows[0].body
    function = {name: value for name, value in tool.items() if name != "type"}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert response.json()["tools"] == [{**tool, "description": None}]


async def test_null_members_of_a_tool_do_not_reach_the_engine(gateway, acme, engine):
    tool = {"type": "function", "name": "look", "description": None, "parameters": None}

    response = await respond(gateway, acme, tools=[{**tool, "strict": None}])

    (sent,) = engine.records.rows[0].body["tools"]
    assert sent == {"type": "function", "function": {"name": "look"}}
    assert response.json()["tools"] == [{**tool, "strict": None}]


async def test_many_runs_at_once_each_get_their_own_words(gateway, acme, engine):
    engine.behave(Behaviour(tokens=10, token_seconds=0.01))

    answers = await asyncio.gather(*(respond(gateway, acme, stream=True) for _ in range(40)))

    assert {text_of(frames_of(answer)) for answer in answers} == {
        " ".join(f"tok{n}" for n in range(10))
    }
    assert len(await ledger(rows=40)) == 40


@pytest.mark.parametrize("door", ["compact", "input_tokens"])
async def test_doors_that_others_have_are_not_there(gateway, acme, door):
    for ask in (gateway.get(acme, f"/v1/responses/{door}"), respond_at(gateway, acme, door)):
        answer = await ask
        assert (answer.status, answer.error["code"]) == (404, "not_found")


def respond_at(gateway, member, door):
    return gateway.post(member, f"/v1/responses/{door}", json={"model": "tiny", "input": "x"})
