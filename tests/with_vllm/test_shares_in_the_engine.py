"""Three tenants that want more than a real vLLM can do at once: its own queue keeps to weights."""

import asyncio
from collections import Counter

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.fixtures.cast import join
from tests.fixtures.gateway import in_database
from tests.inference.queueing.test_shares import weigh
from tests.with_vllm.conftest import ROUTE

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600), pytest.mark.xdist_group("vllm")]

AT_ONCE = 4
"""Requests that the engine works on, as the fixture starts it; the others wait in it."""
EACH = 16
ASKED = {"model": ROUTE, "max_tokens": 16, "temperature": 0}
STORY = "Tell a very long story about a river."


@pytest.fixture
def announced(served, transactional_db):
    _, console = served
    return console.heard[0][1]


@pytest.fixture
def pool(announced):
    """It takes everything, so that only the engine's own queue decides."""
    pool = inference.create_pool(name=ROUTE, engine="vllm", sends_priority=True)
    static_endpoints.add_static_endpoint(
        pool=pool,
        address=announced["address"],
        model=announced["model"],
        credential=announced["credential"],
    )
    inference.create_route(name=ROUTE, pool=pool)
    return pool


async def ask_nothing(gateway, member):
    answer = await gateway.chat(member, ".", **{**ASKED, "max_tokens": 1})
    assert answer.status == 200, answer.body


async def test_backlogged_tenants_are_served_in_the_order_of_their_weights(
    pool, announced, gateway, acme, rival
):
    assert "priority" in announced["capabilities"]
    third, filler = await in_database(join, "third"), await in_database(join, "filler")
    weights = {acme: 1, rival: 2, third: 4}
    for member, weight in weights.items():
        await in_database(weigh, member, weight)
    served = []

    async def ask(member):
        answer = await gateway.chat(member, STORY, **ASKED)
        assert answer.status == 200, answer.body
        served.append(weights[member])

    # Everybody's limits are known, so that their requests come at the same time, and the engine
    # has something to do until they are there.
    for member in (*weights, filler):
        await ask_nothing(gateway, member)
    first = [asyncio.create_task(gateway.chat(filler, STORY, **ASKED)) for _ in range(AT_ONCE)]
    await asyncio.sleep(0.1)
    await asyncio.gather(*first, *(ask(member) for _ in range(EACH) for member in weights))

    half = Counter(served[: 7 * EACH // 4])
    told = f"of the first {half.total()} {dict(half)}, in the order {served}"
    # 4, 8 and 16 of these 28 would be exact, and without weights a third of them for each.
    assert half[1] < half[2] < half[4], told
    assert half[4] >= 13, told
    assert half[1] <= 6, told
