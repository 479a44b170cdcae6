"""`/ws/v1/responses`: a chat over a socket, as a program and as a browser would hold it."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from django.utils import timezone
from websockets.asyncio.client import connect

from tenants import services as tenants
from tenants.models import ApiKey
from tests.fakes.model_server import Behaviour, Fault, Outcome
from tests.fixtures.cast import hire
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import run_reaches

pytestmark = pytest.mark.usefixtures("tiny")

CREATE = {"type": "response.create", "model": "tiny", "input": "hello"}


class Socket:
    """A client that speaks JSON."""

    def __init__(self, connection):
        self.connection = connection

    async def say(self, frame):
        await self.connection.send(json.dumps(frame))

    async def hear(self, *, seconds=5):
        async with asyncio.timeout(seconds):
            return json.loads(await self.connection.recv())

    async def hear_until(self, *kinds):
        """All frames up to the first of one of these kinds."""
        frames = [await self.hear()]
        while frames[-1]["type"] not in kinds:
            frames.append(await self.hear())
        return frames

    async def closed_with(self):
        """The code with which the server closes."""
        async with asyncio.timeout(5):
            await self.connection.wait_closed()
        return self.connection.close_code


@asynccontextmanager
async def socket(gateway, member=None, **options):
    url = gateway.url.replace("http", "ws") + options.pop("path", "/ws/v1/responses")
    headers = {**(member.bearer if member else {}), **options.pop("headers", {})}
    async with connect(url, additional_headers=headers, **options) as connection:
        yield Socket(connection)


TERMINAL = ("response.completed", "response.failed", "response.incomplete", "error")


async def test_it_tells_a_response_in_the_order_of_open_responses(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3, token_seconds=0.05))

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        frames = await client.hear_until(*TERMINAL)

    kinds = [frame["type"] for frame in frames]
    deltas = [frame["delta"] for frame in frames if frame["type"] == "response.output_text.delta"]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert "".join(deltas) == "tok0 tok1 tok2"
    assert len(deltas) > 1


async def test_the_usage_it_tells_is_the_usage_in_the_ledger(gateway, acme, engine):
    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        *_, completed = await client.hear_until(*TERMINAL)

    (event,) = await ledger()
    usage = completed["response"]["usage"]
    sent = engine.records.rows[0].usage_written
    assert usage["output_tokens"] == event.completion_tokens == sent["completion_tokens"]
    assert usage["input_tokens"] == event.prompt_tokens == sent["prompt_tokens"]
    assert (event.door, event.status) == ("responses_socket", "completed")


async def test_an_agent_answers_too(gateway, acme, engine, tiny):
    await in_database(hire, acme.tenant, tiny, instructions="Be brief.")

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "helper", "instructions": "In French."})
        await client.hear_until(*TERMINAL)

    asked = engine.records.rows[0].body["messages"]
    assert [message["content"] for message in asked] == ["Be brief.", "In French.", "hello"]


async def test_input_may_be_messages(gateway, acme, engine):
    said = [
        {"role": "user", "content": "one"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "two"}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "three"}]},
    ]

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "input": said})
        *_, last = await client.hear_until(*TERMINAL)

    roles = [message["role"] for message in engine.records.rows[0].body["messages"]]
    assert last["type"] == "response.completed"
    assert roles == ["user", "assistant", "user"]


async def test_responses_of_a_lane_are_given_one_after_the_other(gateway, acme, engine):
    engine.behave(Behaviour(tokens=5, token_seconds=0.02))

    async with socket(gateway, acme) as client:
        for number in range(3):
            await client.say({**CREATE, "stream_id": "a", "client_id": f"mine-{number}"})
        frames = await hear_ends(client, 3)

    acks = {frame["response_id"]: frame["client_id"] for frame in frames if "client_id" in frame}
    begun = [frame["response"]["id"] for frame in frames if begins(frame)]
    ended = [frame["response"]["id"] for frame in frames if frame["type"] in TERMINAL]
    assert list(acks.values()) == ["mine-0", "mine-1", "mine-2"]
    assert begun == ended == list(acks)
    assert [first for pair in zip(begun, ended, strict=True) for first in pair] == [
        frame["response"]["id"] for frame in frames if begins(frame) or frame["type"] in TERMINAL
    ]


async def test_lanes_do_not_wait_for_each_other(gateway, acme, engine):
    engine.behave(Behaviour(tokens=200, token_seconds=0.02), Behaviour(tokens=2))

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "stream_id": "slow"})
        slow = await client.hear_until("response.output_text.delta")
        await client.say({**CREATE, "stream_id": "quick"})
        *_, last = await client.hear_until(*TERMINAL)
        await client.say({"type": "response.cancel", "response_id": slow[0]["response"]["id"]})
        await client.hear_until(*TERMINAL)

    assert (last["type"], last["stream_id"]) == ("response.completed", "quick")


def begins(frame):
    return frame["type"] == "response.in_progress"


async def hear_ends(client, count):
    frames = []
    while sum(frame["type"] in TERMINAL for frame in frames) < count:
        frames += await client.hear_until(*TERMINAL)
    return frames


async def test_too_many_waiting_responses_are_refused(gateway, acme, engine):
    engine.behave(Behaviour(tokens=100, token_seconds=0.05), Behaviour(tokens=1))

    async with socket(gateway, acme) as client:
        for _ in range(20):
            await client.say(CREATE)
        frames = await client.hear_until("error")
        first = frames[0]["response"]["id"]
        await client.say({"type": "response.cancel", "response_id": first})

    assert (frames[-1]["status"], frames[-1]["error"]["code"]) == (429, "too_many_runs")


async def test_a_limit_of_tokens_makes_it_incomplete(gateway, acme):
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "max_output_tokens": 2})
        *_, last = await client.hear_until(*TERMINAL)

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_failing_engine_is_told_and_the_socket_goes_on(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=2), Behaviour())

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        failed = await client.hear_until(*TERMINAL)
        await client.say(CREATE)
        *_, last = await client.hear_until(*TERMINAL)

    assert failed[-1]["type"] == "response.failed"
    assert failed[-1]["response"]["error"]["reason"] == "upstream_broken"
    assert last["type"] == "response.completed"


async def test_cancelling_stops_the_engine_and_bills_what_was_said(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.01))

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        frames = await client.hear_until("response.output_text.delta")
        response_id = frames[0]["response"]["id"]
        await client.say({"type": "response.cancel", "response_id": response_id})
        *_, last = await client.hear_until("response.incomplete")

    record = engine.records.rows[0]
    await eventually(lambda: record.outcome is Outcome.ABORTED, within=1)
    (event,) = await ledger()
    assert last["response"]["status"] == "cancelled"
    assert event.status == "cancelled"
    assert 0 <= record.tokens_produced - event.completion_tokens <= 100


async def test_leaving_does_not_stop_the_run(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.02))

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        frames = await client.hear_until("response.output_text.delta")

    await run_reaches(frames[0]["response"]["id"], "completed")
    (event,) = await ledger()
    assert event.status == "completed"
    assert engine.records.rows[0].outcome is Outcome.FINISHED


async def test_cancelling_what_is_not_there_is_an_error(gateway, acme):
    async with socket(gateway, acme) as client:
        await client.say({"type": "response.cancel", "response_id": "resp_nothing"})
        error = await client.hear()

    assert (error["status"], error["error"]["code"]) == (404, "not_found")


async def test_ping_is_answered(gateway, acme):
    async with socket(gateway, acme) as client:
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}


WRONG = {
    "not json": ("hello", "invalid_json"),
    "a list": ("[]", "invalid_parameter"),
    "no type": ("{}", "missing_parameter"),
    "an unknown type": ('{"type": "dance"}', "unknown_frame"),
    "no input": ('{"type": "response.create", "model": "tiny"}', "missing_parameter"),
    "empty input": (
        '{"type": "response.create", "model": "tiny", "input": []}',
        "invalid_parameter",
    ),
    "a number": ('{"type": "response.create", "model": 7, "input": "x"}', "invalid_parameter"),
    "no such state": (
        json.dumps({**CREATE, "previous_response_id": "r"}),
        "previous_response_not_found",
    ),
    "two states": (
        json.dumps({**CREATE, "previous_response_id": "r", "conversation": "c"}),
        "invalid_parameter",
    ),
    "no such conversation": (
        json.dumps({"type": "conversation.subscribe", "conversation": "c"}),
        "not_found",
    ),
    "nothing to resume": (
        json.dumps({"type": "response.resume", "response_id": "r"}),
        "not_found",
    ),
    "too deep": ('{"type":"ping","x":' + "[" * 5000 + "]" * 5000 + "}", "invalid_json"),
    "an unknown model": (json.dumps({**CREATE, "model": "nobody"}), "model_not_found"),
    "a binary frame": (b"\x00\x01", "binary_frame"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_frame_is_told_and_the_socket_goes_on(gateway, acme, case, caplog):
    frame, code = WRONG[case]

    async with socket(gateway, acme) as client:
        await client.connection.send(frame)
        error = await client.hear()
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}

    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_frame_too_large_closes_the_socket(gateway, acme):
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "input": "x" * (1024 * 1024)})
        assert await client.closed_with() == 4413


async def test_a_wrong_key_closes_the_socket(gateway):
    async with socket(gateway, headers={"authorization": "Bearer nonsense"}) as client:
        error = await client.hear()
        assert error["error"]["code"] == "invalid_api_key"
        assert await client.closed_with() == 4401


async def test_no_authentication_in_time_closes_the_socket(gateway, monkeypatch):
    monkeypatch.setattr("agents.doors.websocket.socket.AUTHENTICATION_TIMEOUT_SECONDS", 0.5)

    async with socket(gateway) as client:
        assert await client.closed_with() == 4408


async def test_nothing_is_done_before_authentication(gateway, engine):
    async with socket(gateway) as client:
        await client.say(CREATE)
        assert await client.closed_with() == 4401

    assert not len(engine.records)


async def ticket_of(gateway, member):
    answer = await gateway.post(member, "/v1/socket-tickets")
    assert answer.status == 201
    return answer.json()["ticket"]


async def test_a_ticket_in_the_first_frame_opens_the_socket(gateway, acme):
    ticket = await ticket_of(gateway, acme)

    async with socket(gateway) as client:
        await client.say({"type": "auth", "ticket": ticket})
        assert await client.hear() == {"type": "ack"}
        await client.say(CREATE)
        *_, last = await client.hear_until(*TERMINAL)

    assert last["type"] == "response.completed"


async def test_a_ticket_as_subprotocol_opens_the_socket(gateway, acme):
    offer = f"tenantry.ticket.{await ticket_of(gateway, acme)}"

    async with socket(gateway, subprotocols=[offer]) as client:
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}
        assert client.connection.subprotocol == offer


async def test_a_ticket_works_once(gateway, acme):
    ticket = await ticket_of(gateway, acme)

    async with socket(gateway) as first, socket(gateway) as second:
        await first.say({"type": "auth", "ticket": ticket})
        assert await first.hear() == {"type": "ack"}
        await second.say({"type": "auth", "ticket": ticket})
        assert (await second.hear())["error"]["code"] == "invalid_ticket"
        assert await second.closed_with() == 4401


async def test_a_foreign_page_may_not_open_a_socket(gateway, acme):
    async with socket(gateway, acme, origin="https://evil.example") as client:
        assert (await client.hear())["error"]["code"] == "origin_not_allowed"
        assert await client.closed_with() == 4403


async def test_a_revoked_key_closes_its_open_sockets(gateway, acme, rival):
    async with socket(gateway, acme) as client, socket(gateway, rival) as other:
        key = await in_database(ApiKey.objects.get, tenant=acme.tenant)
        await in_database(tenants.block_key, key=key, now=timezone.now())

        assert await client.closed_with() == 4401
        await other.say({"type": "ping"})
        assert await other.hear() == {"type": "pong"}


async def test_a_suspended_tenant_loses_its_sockets(gateway, acme):
    async with socket(gateway, acme) as client:
        await in_database(tenants.suspend_tenant, tenant_id=acme.tenant.pk)

        assert await client.closed_with() == 4403


async def test_there_is_no_socket_at_another_address(gateway, acme):
    with pytest.raises(Exception, match="403"):
        async with socket(gateway, acme, path="/ws/v1/other"):
            pass


@pytest.fixture
def two_sockets_each(settings):
    settings.TENANT_SOCKETS = 2


async def test_a_tenant_has_so_many_sockets_and_leaves_room_for_others(
    two_sockets_each, gateway, acme, rival
):
    async with socket(gateway, acme) as one, socket(gateway, acme) as other:
        for client in (one, other):
            await client.say({"type": "ping"})
            assert (await client.hear())["type"] == "pong"
        async with socket(gateway, acme) as client:
            assert (await client.hear())["error"]["code"] == "too_many_sockets"
            assert await client.closed_with() == 4429
        async with socket(gateway) as client:
            await client.say({"type": "auth", "ticket": await ticket_of(gateway, acme)})
            assert (await client.hear())["error"]["code"] == "too_many_sockets"
            assert await client.closed_with() == 4429
        async with socket(gateway, rival) as client:
            await client.say({"type": "ping"})
            assert (await client.hear())["type"] == "pong"

    await eventually(lambda: not gateway.worker.gateway.sockets._open)
    async with socket(gateway, acme) as client:
        await client.say({"type": "ping"})
        assert (await client.hear())["type"] == "pong"


async def test_it_is_also_where_openais_clients_look(gateway, acme):
    async with socket(gateway, acme, path="/v1/responses") as client:
        await client.say(CREATE)
        frames = await client.hear_until(*TERMINAL)

    assert frames[-1]["type"] == "response.completed"


async def test_a_response_that_is_not_stored_goes_on_on_its_own_socket(gateway, acme, engine):
    engine.behave(Behaviour(script=("One.",)), Behaviour(script=("Two.",)))
    unstored = {**CREATE, "store": False}
    async with socket(gateway, acme) as client, socket(gateway, acme) as other:
        await client.say(unstored)
        first = (await client.hear_until(*TERMINAL))[-1]["response"]
        follow = {**unstored, "input": "And?", "previous_response_id": first["id"]}
        await client.say(follow)
        second = (await client.hear_until(*TERMINAL))[-1]["response"]
        await other.say(follow)
        error = await other.hear()

    assert second["previous_response_id"] == first["id"]
    sent = engine.records.last.body["messages"]
    assert [message["content"] for message in sent] == ["hello", "One.", "And?"]
    assert error["error"]["code"] == "previous_response_not_found"
    assert error["error"]["param"] == "previous_response_id"


async def test_responses_of_a_lane_are_told_one_after_the_other(gateway, acme, engine):
    engine.behave(Behaviour(tokens=5, token_seconds=0.05))
    async with socket(gateway, acme) as client:
        for _ in range(3):
            await client.say({**CREATE, "stream_id": "a"})
        frames = []
        for _ in range(3):
            frames += await client.hear_until(*TERMINAL)

    named = [frame["response"]["id"] for frame in frames if "response" in frame]
    assert len(set(named)) == 3
    assert named == sorted(named, key=list(dict.fromkeys(named)).index), "no two are mixed"


async def test_a_socket_of_an_hour_says_why_it_ends(gateway, acme, monkeypatch):
    monkeypatch.setattr("agents.doors.websocket.socket.MAX_SOCKET_AGE_SECONDS", 0.5)

    async with socket(gateway, acme) as client:
        error = await client.hear(seconds=10)
        code = await client.closed_with()

    assert error["error"]["code"] == "websocket_connection_limit_reached"
    assert (error["status"], code) == (400, 1012)
