"""Clients that hang up pay for what was generated until then, and no more."""

import asyncio
import random

import aiohttp
import pytest

from tests.fakes.model_server import Behaviour, Outcome
from tests.fixtures.database.books import assert_balance
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import TERMINAL, next_frame, open_stream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]

PACE = 0.02
"""Seconds between two tokens."""
TOKENS = 60
PLAN = random.Random(20261121)


async def hang_up_over_http(gateway, member, *, text, after):
    """Read `after` chunks of a stream, then close the connection."""
    body = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": text}]}
    url = gateway.url + "/v1/chat/completions"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=member.bearer) as answer,
    ):
        for _ in range(after):
            await answer.content.readuntil(b"\n\n")
        answer.close()


async def hang_up_on_a_response(gateway, member, *, text, after):
    """The same with a response that nobody could find again."""
    async with aiohttp.ClientSession() as session:
        answer = await open_stream(session, gateway.url, member, input=text, store=False)
        for _ in range(after // 3 + 2):
            frame = await next_frame(answer)
            assert frame["type"] not in TERMINAL
        answer.close()


@pytest.mark.parametrize("hang_up", [hang_up_over_http, hang_up_on_a_response])
async def test_a_hundred_disconnects_are_billed_as_the_engine_counted(
    gateway, acme, engine, hang_up
):
    engine.behave(Behaviour(tokens=TOKENS, token_seconds=PACE))
    chunks = [PLAN.randrange(TOKENS // 2) for _ in range(100)]

    for start in range(0, 100, 25):
        batch = range(start, start + 25)
        await asyncio.gather(*(hang_up(gateway, acme, text=str(n), after=chunks[n]) for n in batch))
    await eventually(lambda: all(r.outcome is Outcome.ABORTED for r in engine.records.rows))

    events = await ledger(rows=100)
    produced = sum(record.tokens_produced for record in engine.records.rows)
    billed = sum(event.completion_tokens for event in events)
    assert {event.status for event in events} == {"client_left"}
    for record in engine.records.rows:
        read = chunks[int(record.body["messages"][0]["content"])]
        # Stopped within a second, in which the engine went on.
        assert record.tokens_produced - read <= 1 / PACE
    # Each was billed by the last usage that came, one pace or two before the engine noticed.
    assert 0 <= produced - billed <= 100 * 5
    await in_database(assert_balance, acme.tenant.pk)
