"""Tenants with more requests than capacity on a real gateway are served by their weights."""

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from tenants.limits import services as limit_services
from tests.fakes.model_server import Behaviour, Outcome
from tests.fixtures.cast import join
from tests.fixtures.gateway import in_database
from tests.fixtures.limits.limits import make_plan
from tests.inference.queueing.test_pool_queue import limit

pytestmark = pytest.mark.slow

TOKEN_SECONDS = 0.00005
CLIENTS = 12
REFUSED_SECONDS = 0.1


def weigh(member, weight):
    plan = make_plan(name=f"Weight {weight}", weight=weight)
    limit_services.set_plan(tenant=member.tenant, plan=plan, now=datetime.now(UTC))


async def keep_asking(gateway, member, *, tokens, until, answers):
    """Send requests one after the other, with a pause after a rejection."""
    while (started := time.monotonic()) < until:
        answer = await gateway.chat(member, **tokens(member))
        answers.append((time.monotonic() - started, answer.status))
        if answer.status != 200:
            # Rejections are fast: without a pause they would use the whole CPU.
            await asyncio.sleep(REFUSED_SECONDS)


def costs(rng):
    """Return requests of 50 to 4,000 tokens; every other one has no `max_tokens`."""

    def of(member):
        count, name = rng.randint(50, 4000), member.tenant.slug
        if rng.random() < 0.5:
            return {"content": name, "max_tokens": count}
        return {"content": f"[fake tokens={count}] {name}"}

    return of


def served(engine, member, *, since, until):
    """Return the tokens of the responses that the engine ended in that time."""
    return sum(
        record.tokens_produced
        for record in engine.records
        if record.outcome is Outcome.FINISHED
        and since <= record.ended_at <= until
        and record.body["messages"][0]["content"].endswith(member.tenant.slug)
    )


@pytest.mark.timeout(60)
async def test_backlogged_tenants_are_served_by_their_weights(gateway, acme, rival, engine, tiny):
    third = await in_database(join, "third")
    weights = {acme: 1, rival: 2, third: 4}
    for member, weight in weights.items():
        await in_database(weigh, member, weight)
    await in_database(limit, slots=7)
    await gateway.worker.follower.catch_up()
    engine.behave(Behaviour(tokens=4000, token_seconds=TOKEN_SECONDS))
    rng, answers = random.Random(7), []

    started = time.monotonic()
    until = started + 8
    await asyncio.gather(
        *(
            keep_asking(gateway, member, tokens=costs(rng), until=until, answers=answers)
            for member in weights
            for _ in range(CLIENTS)
        )
    )

    assert {status for _, status in answers} == {200}
    tokens = {m: served(engine, m, since=started + 0.5, until=until) for m in weights}
    total = sum(tokens.values())
    for member, weight in weights.items():
        assert tokens[member] / total == pytest.approx(weight / 7, rel=0.1), tokens


@pytest.mark.timeout(60)
async def test_a_noisy_neighbour_does_not_matter(gateway, acme, rival, engine, tiny):
    """acme requests ten times its share and fills the queue; rival requests half of its own."""
    await in_database(limit, slots=4, queue_length=30)
    await gateway.worker.follower.catch_up()
    engine.behave(Behaviour(first_token_seconds=0.1))
    until = time.monotonic() + 5
    answers = []

    def ask(member):
        return {"content": member.tenant.slug}

    flood = [
        asyncio.create_task(keep_asking(gateway, acme, tokens=ask, until=until, answers=answers))
        for _ in range(40)
    ]
    await asyncio.sleep(0.5)
    beside = await ask_steadily(gateway, rival, every=0.1, times=40)
    await asyncio.gather(*flood)

    ends = Counter(status for _, status in answers)
    assert set(ends) == {200, 503}, "acme fills the queue"
    assert {status for _, status in beside} == {200}
    # In a queue without shares both would wait equally long.
    waited = median([each for each in answers if each[1] == 200])
    assert median(beside) < waited / 2, f"{median(beside):.3f} s beside {waited:.3f} s"


async def ask_steadily(gateway, member, *, every, times):
    async def ask():
        started = time.monotonic()
        answer = await gateway.chat(member)
        return time.monotonic() - started, answer.status

    tasks = []
    for _ in range(times):
        tasks.append(asyncio.create_task(ask()))
        await asyncio.sleep(every)
    return await asyncio.gather(*tasks)


def median(answers):
    return sorted(seconds for seconds, _ in answers)[len(answers) // 2]
