"""Gateways that are restarted one after the other, under load: nobody notices.

Real processes and a load balancer that does what all of them do: it looks at `/readyz` now and
then, and sends a request elsewhere only if its connection was refused.
"""

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import aiohttp
import pytest

from tests.fakes.model_server import Behaviour, ModelServer
from tests.fixtures.cast import serve
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.servers.balancer import balancing
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import gateway_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BODY = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
PACED = Behaviour(tokens=10, token_seconds=0.05)
CLIENTS = 8
LEAVE_SECONDS = "1"


async def ask_until(done, balancer, members, answers):
    """One client after the other tenant's; each answer must be whole."""
    number = 0
    while not done.is_set():
        member = members[number % len(members)]
        number += 1
        body = await balancer.post("/v1/chat/completions", json=BODY, headers=member.bearer)
        assert body.rstrip().endswith(b"data: [DONE]"), body[-300:]
        answers[member.tenant.slug] += 1


class Deployment:
    """Gateways that can be replaced where they stand."""

    def __init__(self, home, *, gateways):
        self._home = home
        self._stacks = [ExitStack() for _ in range(gateways)]
        self._ports = [free_port() for _ in range(gateways)]
        self._running = [self._start(number) for number in range(gateways)]

    @property
    def urls(self):
        return [each.url for each in self._running]

    def _start(self, number):
        how = {"port": self._ports[number], "TENANTRY_LEAVE_SECONDS": LEAVE_SECONDS}
        home = self._home / str(number)
        return self._stacks[number].enter_context(gateway_process(home, **how))

    def restart(self, number):
        """Returns when the new one is ready."""
        old = self._running[number]
        old.leave()
        assert old.process.wait(timeout=30) in {0, -15}
        self._running[number] = self._start(number)

    def close(self):
        for stack in self._stacks:
            stack.close()


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.nightly)])
async def test_restarting_gateways_one_after_the_other_loses_nothing(tmp_path, acme, rival, rounds):
    async with ModelServer(behaviour=PACED) as engine:
        await in_database(serve, engine.url)
        deployment = await in_database(Deployment, tmp_path, gateways=2)
        answers, done = Counter(), asyncio.Event()
        try:
            async with balancing(deployment.urls) as balancer, asyncio.TaskGroup() as tasks:
                for _ in range(CLIENTS):
                    tasks.create_task(ask_until(done, balancer, (acme, rival), answers))
                for number in range(rounds):
                    await in_database(deployment.restart, number % 2)
                    await asyncio.sleep(2 * 0.25)
                done.set()
        finally:
            await in_database(deployment.close)
        events = await ledger(rows=answers.total())

    assert min(answers.values()) > 0
    assert len(events) == answers.total() == len(engine.records)
    assert {(event.status, event.completion_tokens) for event in events} == {("completed", 10)}


async def first_token(answer):
    async for line in answer.content:
        if b"tok" in line:
            return


async def test_a_gateway_that_leaves_says_so_at_once_and_finishes_what_runs(tmp_path, acme):
    long = replace(PACED, tokens=120)
    async with ModelServer(behaviour=long) as engine, aiohttp.ClientSession() as session:
        await in_database(serve, engine.url)
        with gateway_process(tmp_path, TENANTRY_LEAVE_SECONDS=LEAVE_SECONDS) as gateway:
            url = f"{gateway.url}/v1/chat/completions"
            async with session.post(url, json=BODY, headers=acme.bearer) as stream:
                await first_token(stream)
                gateway.leave()
                reported_at = time.monotonic()

                await becomes_unready(session, gateway)
                # It is not ready, and still accepts: load balancers need time to notice.
                async with session.post(url, json=BODY, headers=acme.bearer) as late:
                    assert late.status == 200
                    assert late.headers["connection"] == "close"
                    late.close()
                await refuses(gateway)
                refused_after = time.monotonic() - reported_at
                assert not stream.content.at_eof(), "it refuses while the stream goes on"
                rest = await stream.read()

            assert refused_after >= float(LEAVE_SECONDS)
            assert rest.rstrip().endswith(b"data: [DONE]")
            # It would be 600 s if it waited as long as streams may take.
            assert gateway.process.wait(timeout=60) in {0, -15}
        events = await ledger(rows=2)

    assert ("completed", 120) in {(event.status, event.completion_tokens) for event in events}
    assert len(engine.records) == 2


async def becomes_unready(session, gateway):
    while True:
        async with session.get(f"{gateway.url}/readyz") as answer:
            if answer.status == 503:
                assert await answer.json() == {"status": "leaving"}
                return
        await asyncio.sleep(0.02)


async def refuses(gateway):
    while True:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"{gateway.url}/healthz"):
                    pass
            except aiohttp.ClientError:
                return
        await asyncio.sleep(0.05)


async def test_several_workers_on_one_port_leave_as_one_does(tmp_path, acme):
    async with ModelServer(behaviour=replace(PACED, tokens=80)) as engine:
        await in_database(serve, engine.url)
        how = {"TENANTRY_GATEWAY_WORKERS": "2", "TENANTRY_LEAVE_SECONDS": LEAVE_SECONDS}
        with gateway_process(tmp_path, **how) as gateway:
            async with aiohttp.ClientSession() as session:
                url = f"{gateway.url}/v1/chat/completions"
                async with session.post(url, json=BODY, headers=acme.bearer) as stream:
                    await first_token(stream)
                    gateway.leave()
                    # A connection that no worker takes any more is refused, and does not hang.
                    async with asyncio.timeout(60):
                        await refuses(gateway)
                    assert (await stream.read()).rstrip().endswith(b"data: [DONE]")
            assert gateway.process.wait(timeout=10) in {0, -15}
