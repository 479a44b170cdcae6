"""A NUL, which PostgreSQL keeps in no text: refused from clients, replaced where models say it."""

import pytest

from inference.relay.schema import ensure_storable
from kernel.errors import InvalidParameter
from tests.agents.doors.websocket.test_socket import CREATE, TERMINAL, socket
from tests.fakes.model_server import Behaviour
from tests.fixtures.runs.runs import lose_log, output_text, respond, run_reaches

pytestmark = pytest.mark.usefixtures("tiny")

NUL = "a\x00b"


@pytest.mark.parametrize(
    "body",
    [
        {"input": NUL},
        {"input": "x", "instructions": NUL},
        {"input": "x", "previous_response_id": NUL},
        {"input": "x", "conversation": NUL},
        {"input": "x", "client_id": NUL},
        {"input": "x", "metadata": {NUL: "x"}},
        {"input": [{"role": "user", "content": NUL}]},
    ],
    ids=str,
)
async def test_a_nul_is_refused_wherever_it_stands(gateway, acme, body):
    answer = await gateway.post(acme, "/v1/responses", json={"model": "tiny", **body})
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, **body})
        told = await client.hear()

    assert (answer.status, answer.error["code"]) == (400, "invalid_parameter")
    assert told["error"] == answer.error


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "response.cancel", "response_id": NUL},
        {"type": "response.resume", "response_id": NUL},
        {"type": "conversation.subscribe", "conversation": NUL},
        {"type": "approval.resolve", "response_id": "r", "approval_id": NUL, "approve": True},
    ],
    ids=lambda frame: frame["type"],
)
async def test_so_it_is_in_every_other_frame(gateway, acme, frame):
    async with socket(gateway, acme) as client:
        await client.say(frame)
        assert (await client.hear())["error"]["code"] == "invalid_parameter"


@pytest.mark.parametrize("path", ["", "/input_items", "?stream=true"])
async def test_an_address_with_a_nul_is_none(gateway, acme, path):
    assert (await gateway.get(acme, f"/v1/responses/resp_%00{path}")).status == 404


async def test_what_a_model_says_is_kept_all_the_same(gateway, acme, engine):
    engine.behave(Behaviour(tokens=2, word=NUL))

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        *_, last = await client.hear_until(*TERMINAL)
    run_id = last["response"]["id"]
    await run_reaches(run_id, "completed")
    await lose_log(gateway, run_id)
    kept = (await gateway.get(acme, f"/v1/responses/{run_id}")).json()

    assert last["type"] == "response.completed"
    assert output_text(kept) == "a\ufffdb0 a\ufffdb1"


async def test_the_same_goes_for_a_run_over_rest(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1, word=NUL))

    assert (await respond(gateway, acme)).json()["status"] == "completed"


@pytest.mark.parametrize("text", [rb'"\\u0000"', rb'"x\\\\u0000"', b'"u0000"', rb'"\u0001"'])
def test_text_that_only_looks_like_it_passes(text):
    ensure_storable(text)


@pytest.mark.parametrize("text", [rb'"\u0000"', rb'"x\\\u0000"', rb'"\\\\\u0000"'])
def test_a_nul_is_found_behind_any_backslashes(text):
    with pytest.raises(InvalidParameter):
        ensure_storable(text)
