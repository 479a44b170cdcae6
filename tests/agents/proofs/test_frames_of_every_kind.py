"""Sequences of frames as no client would send them: told, never fatal, and nothing is left over."""

import asyncio
import gc
import json
from collections import Counter

import pytest
from websockets.exceptions import WebSocketException

from kernel import metrics
from tests.agents.doors.websocket.test_socket import socket
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.runs.any_frames import Known, chance_of, leave_any, send_any
from tests.fixtures.runs.runs import begin_conversation, respond
from tests.fixtures.runs.waiting import employ_careful, pause, request_of, wants_to_reckon

pytestmark = pytest.mark.slow

SEED = 20261121
SOME = range(SEED, SEED + 250)
NIGHTLY = [
    pytest.param(range(first, first + 2000), marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])
    for first in range(SEED, SEED + 20_000, 2000)
]
AT_ONCE = 50
WAITING_RUNS = 20
SECRET = "what rival said"
PACED = Behaviour(tokens=3, token_seconds=0.005)
POLITE = {1000, 1001, 1008, 3000, 4999}
"""What clients themselves close with."""
EXPECTED = POLITE | {4401, 4403, 4408, 4413, 1009}
BROKEN = EXPECTED | {1002, 1005, 1006, 1007}
"""With these end sockets whose client broke the protocol, or its connection."""


async def known_ids(gateway, acme, rival, engine):
    """Runs of both tenants, ended and waiting for people, and conversations with something in."""
    known = Known()
    for member, place in ((acme, "conv_1"), (rival, "conv_2")):
        await in_database(begin_conversation, member, place)
        answer = await respond(gateway, member, f"say: {SECRET}", conversation=place)
        known.responses.append(answer.json()["id"])
    known.conversations.append("conv_2")
    engine.behave(wants_to_reckon())
    for number in range(WAITING_RUNS):
        paused = await pause(gateway, acme if number % 4 else rival)
        known.responses.append(paused["id"])
        known.approvals.append(request_of(paused))
    return known


async def hold(gateway, member, known, seed, ends):
    """One socket: a sequence of frames, and the end that the chance wants."""
    chance = chance_of(seed)
    known = Known([*known.responses], known.conversations, known.approvals)
    heard, is_broken = [], False
    who = member if chance.random() < 0.97 else None
    # With a short queue the client's own library would not read the answer to its close.
    async with socket(gateway, who, max_queue=None) as client:
        try:
            for _ in range(chance.randrange(1, 10)):
                is_broken |= await send_any(chance, client.connection, known)
                if chance.random() < 0.3:
                    heard.append(await client.hear(seconds=0.2))
                    note(heard[-1], known)
            is_broken |= await leave_any(chance, client.connection)
        except TimeoutError:
            pass  # a frame that deserves no answer
        except (WebSocketException, OSError):
            pass  # closed for what came; the code below says whether rightly so
    code = client.connection.close_code
    assert code in (BROKEN if is_broken else EXPECTED), (seed, code)
    assert SECRET not in json.dumps(heard)
    ends[code] += 1


def note(frame, known):
    if "response" in frame:
        known.responses.append(frame["response"]["id"])


async def pings(client):
    await client.say({"type": "ping"})
    return await client.hear(seconds=10) == {"type": "pong"}


@pytest.fixture
async def known(gateway, acme, rival, engine, tiny):
    """What there is to be named, and an engine that is ready to answer."""
    for member in (acme, rival):
        await in_database(employ_careful, member, tiny)
    known = await known_ids(gateway, acme, rival, engine)
    engine.behave(PACED)
    return known


@pytest.mark.parametrize("seeds", [SOME, *NIGHTLY], ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
async def test_no_sequence_of_frames_hurts_a_worker(gateway, acme, rival, known, seeds):
    ends = Counter()

    async with socket(gateway, rival) as witness:
        for start in range(0, len(seeds), AT_ONCE):
            some = seeds[start : start + AT_ONCE]
            await asyncio.gather(*(hold(gateway, acme, known, seed, ends) for seed in some))
            assert await pings(witness)

    await eventually(lambda: len(gateway.worker.gateway.runner) == 0, within=60)
    await eventually(lambda: metrics.sockets._value.get() == 0)
    assert (await gateway.chat(acme)).status == 200
    assert sum(ends.values()) == len(seeds)


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog):
    """Fails the test if anything was logged as an error, by whomever."""
    yield
    # A task that failed by itself says so when it is forgotten.
    gc.collect()
    bad = [record for record in caplog.get_records("call") if record.levelname in WRONG]
    assert not bad, [record.getMessage() for record in bad[:3]]


WRONG = {"ERROR", "CRITICAL"}
