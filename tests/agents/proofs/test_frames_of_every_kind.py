"""Sequences of frames as no client would send them: told, never fatal, and nothing is left over."""

import asyncio
import json
import random

import pytest

from tests.agents.test_socket import socket
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.runs import begin_conversation

pytestmark = pytest.mark.usefixtures("tiny")

SEED = 20261121
AT_ONCE = 25
WORDS = [None, "", "x", 0, -1, 2**70, 1.5, True, [], {}, ["x"], {"id": "conv_1"}, "conv_1", "\x00"]
TYPES = [
    *("response.create", "response.create", "response.cancel", "response.resume"),
    *("conversation.subscribe", "ping", "auth", "dance", "", None, 7),
]
FIELDS = [
    *("model", "input", "stream_id", "client_id", "conversation", "previous_response_id", "store"),
    *("response_id", "starting_after", "ticket", "tools", "text", "metadata", "background"),
]


def any_frame(chance, known):
    """Anything from garbage to a proper request."""
    if chance.random() < 0.1:
        return chance.choice(["", "{", "[]", "null", '"x"', '{"type":', "\u0000", "7"])
    frame = {"type": chance.choice(TYPES)}
    if chance.random() < 0.6:
        frame |= {"model": "tiny", "input": chance.choice(["hello", [{"role": "user"}], []])}
    if known and chance.random() < 0.6:
        frame["response_id"] = chance.choice(known)
    for _ in range(chance.randrange(3)):
        frame[chance.choice(FIELDS)] = chance.choice(WORDS)
    return json.dumps(frame)


async def hold(gateway, member, seed):
    """One socket: a sequence of frames, and the end that the chance wants."""
    chance = random.Random(seed)
    known = ["resp_nothing"]
    async with socket(gateway, member) as client:
        for _ in range(chance.randrange(1, 8)):
            await client.connection.send(any_frame(chance, known))
            if chance.random() < 0.3:
                frame = await client.hear(seconds=1)
                known += [frame["response"]["id"]] if "response" in frame else []
        if chance.random() < 0.3:
            client.connection.transport.abort()


@pytest.mark.parametrize(
    "sequences", [400, pytest.param(20_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])]
)
async def test_no_sequence_of_frames_hurts_a_worker(gateway, acme, engine, caplog, sequences):
    engine.behave(Behaviour(tokens=2))
    await in_database(begin_conversation, acme)

    for start in range(0, sequences, AT_ONCE):
        holds = (hold(gateway, acme, SEED + n) for n in range(start, start + AT_ONCE))
        ends = await asyncio.gather(*holds, return_exceptions=True)
        unexpected = [end for end in ends if end is not None and not is_silence(end)]
        assert not unexpected

    await eventually(lambda: len(gateway.worker.gateway.runner) == 0, within=30)
    assert (await gateway.chat(acme)).status == 200
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]


def is_silence(end):
    """A frame that deserves no answer, or a socket that was closed for what came."""
    return isinstance(end, TimeoutError) or type(end).__module__.startswith("websockets")
