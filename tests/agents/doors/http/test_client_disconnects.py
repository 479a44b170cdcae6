"""A client that hangs up before it has a whole answer has used the engine all the same."""

import asyncio

import aiohttp
import pytest

from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import ledger

pytestmark = pytest.mark.usefixtures("tiny")

SECONDS_PER_TOKEN = 0.1


async def leave_after(gateway, member, *, seconds):
    """Ask for a whole answer, and hang up."""
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    url = f"{gateway.url}/v1/chat/completions"
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        with pytest.raises(asyncio.TimeoutError):
            await client.post(url, json=asked, headers=member.bearer)


@pytest.mark.slow
async def test_what_the_engine_has_made_by_then_is_estimated_by_its_pace(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=SECONDS_PER_TOKEN))
    await gateway.chat(acme)
    await leave_after(gateway, acme, seconds=1.5)

    _, left = await ledger(rows=2)
    assert (left.status, left.estimated) == ("client_left", True)
    assert left.prompt_tokens > 0
    # About 15; a busy machine lets both the pace and the time grow.
    assert 5 <= left.completion_tokens <= 40


@pytest.mark.slow
async def test_no_more_is_billed_than_the_client_has_asked_for(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3, first_token_seconds=0.01))
    await gateway.chat(acme)
    engine.behave(Behaviour(tokens=50, first_token_seconds=30))
    asked = gateway.chat(acme, max_tokens=7)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asked, timeout=2)

    _, left = await ledger(rows=2)
    assert (left.status, left.completion_tokens) == ("client_left", 7)
