"""Three tenants that want more than a real vLLM can do at once: its own queue keeps to weights."""

import asyncio
from collections import Counter

import pytest

from inference import services as inference
from inference import static_endpoints
from tests.fixtures.cast import join
from tests.fixtures.gateway import in_database
from tests.inference.queue.test_shares import weigh
from tests.with_vllm.conftest import ROUTE, until_heard

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600), pytest.mark.xdist_group("vllm")]

AT_ONCE = 2
"""Requests that the engine works on; the others wait in it."""
EACH = 14
ASKED = {"model": ROUTE, "max_tokens": 16, "temperature": 0}
STORY = "Tell a very long story about a river."


@pytest.fixture(scope="module")
def narrow(start_engine):
    """What an engine announced that works on little at once."""
    return until_heard(*start_engine("--max-num-seqs", str(AT_ONCE)))


@pytest.fixture
def pool(narrow, transactional_db):
    """It takes everything, so that only the engine's own queue decides."""
    pool = inference.create_pool(name=ROUTE, engine="vllm", sends_priority=True)
    static_endpoints.add_static_endpoint(
        pool=pool,
        address=narrow["address"],
        model=narrow["model"],
        credential=narrow["credential"],
    )
    inference.create_route(name=ROUTE, pool=pool)
    return pool


async def test_backlogged_tenants_are_served_in_the_order_of_their_weights(
    pool, narrow, gateway, acme, rival
):
    assert "priority" in narrow["capabilities"]
    third = await in_database(join, "third")
    weights = {acme: 1, rival: 2, third: 4}
    for member, weight in weights.items():
        await in_database(weigh, member, weight)
    served = []

    async def ask(member):
        answer = await gateway.chat(member, STORY, **ASKED)
        assert answer.status == 200, answer.body
        served.append(weights[member])

    # The engine has something to do before the others come.
    first = [asyncio.create_task(gateway.chat(acme, STORY, **ASKED)) for _ in range(AT_ONCE)]
    await asyncio.sleep(0.1)
    await asyncio.gather(*first, *(ask(member) for _ in range(EACH) for member in weights))

    half = Counter(served[: 7 * EACH // 4])
    told = f"of the first half {dict(half)}, in the order {served}"
    # 3.5, 7 and 14 of these would be exact; nobody overtakes who has a larger weight.
    assert half[1] < half[2] < half[4], told
    assert half[4] >= 11, told
    assert half[1] <= 6, told
    print(told)  # noqa: T201
