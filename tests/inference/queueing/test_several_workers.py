"""Several gateway workers share the slots of a pool, and exchange their state with a delay."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from inference.fleet.snapshot import FleetReference
from inference.queueing.dispatcher import Dispatcher
from tests.fakes.model_server import Behaviour
from tests.inference.queueing.test_slots_released import NOTHING, Rig, rig

pytestmark = pytest.mark.slow

PLACES = 8
REPORT_SECONDS = 0.5


class Worker(Rig):
    """The queues of a gateway worker."""

    def join(self, others, *, workers):
        """Use the last reports of the `others`."""
        self.reported = 0
        self.dispatcher = Dispatcher(
            self.dispatcher._relay,
            fleet=FleetReference(),
            elsewhere=lambda _: sum(other.reported for other in others if other is not self),
            workers=lambda: workers,
        )

    async def live(self):
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self.reported = sum(self.dispatcher.running().values())
            self.dispatcher.tick(asyncio.get_running_loop().time())

    async def serve(self, *, clients, answers):
        async def client():
            while True:
                await self.ask(self.route_trace())
                answers.append(self)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())


@asynccontextmanager
async def workers(count, *, places=PLACES):
    async with rig() as first:
        pool = first.pool
        members = [Worker(first.server, first.dispatcher._relay._upstream) for _ in range(count)]
        for member in members:
            member.pool = type(pool)(
                name="tiny",
                engine="vllm",
                endpoints=pool.endpoints,
                max_in_flight=places,
                queue_length=400,
            )
            member.join(members, workers=count)
        living = [asyncio.create_task(member.live()) for member in members]
        yield members
        await stop(living)
        assert all(member.left() == NOTHING for member in members if member.dispatcher._pools)


async def stop(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def watch(members, *, seconds):
    """Sample the number of running requests of the pool."""
    seen = []
    for _ in range(int(seconds / 0.01)):
        seen.append(sum(sum(each.dispatcher.running().values()) for each in members))
        await asyncio.sleep(0.01)
    return seen


def busy(members, answers, *, clients=30):
    return [asyncio.create_task(each.serve(clients=clients, answers=answers)) for each in members]


async def test_two_busy_workers_keep_to_the_pools_places():
    async with workers(2) as members:
        members[0].server.behave(Behaviour(first_token_seconds=0.03))
        answers = []
        tasks = busy(members, answers)

        first = await watch(members, seconds=1.5)
        later = await watch(members, seconds=2)
        await stop(tasks)

        assert max(first) <= PLACES * 1.5
        assert max(later) <= PLACES + 1
        assert sum(later) / len(later) > PLACES * 0.6
        assert {answers.count(member) > 50 for member in members} == {True}


async def test_a_worker_takes_what_an_idle_one_leaves():
    async with workers(2) as members:
        members[0].server.behave(Behaviour(first_token_seconds=0.1))
        tasks = busy(members[:1], [])

        await asyncio.sleep(1.6)
        later = await watch(members, seconds=1)
        await stop(tasks)

        assert max(later) == PLACES


@pytest.mark.parametrize("count", [2, 5])
async def test_with_fewer_places_than_workers_each_still_gets_on(count):
    async with workers(count, places=1) as members:
        members[0].server.behave(Behaviour(first_token_seconds=0.01))
        answers = []
        tasks = busy(members, answers, clients=3)

        await asyncio.sleep(2)
        await stop(tasks)

        assert all(answers.count(member) > 10 for member in members)
