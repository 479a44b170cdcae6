"""Engines that are restarted one after the other, under load: nobody notices."""

import asyncio
import shlex
import signal
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from inference import services
from inference.endpoints import join_tokens
from inference.models import ModelEndpoint
from tests.embedded.watching import wait_until
from tests.fakes import vllm_engine
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.servers.serving import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

CLIENTS = 6
STREAM = {"stream": True}


@pytest.fixture
def python(tmp_path):
    """The interpreter of vLLM's environment."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {shlex.quote(vllm_engine.__file__)} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def token(transactional_db):
    pool = services.create_pool(name="tiny", engine="vllm")
    services.create_route(name="tiny", pool=pool)
    return join_tokens.issue_join_token(pool=pool, name="rack 1")[1]


@pytest.fixture
def rack(live_server, python, token, tmp_path):
    with ExitStack() as stack:
        yield Rack(stack, console=live_server.url, python=python, token=token, home=tmp_path)


class Rack:
    """Places for engines; `replace` restarts the one in a place."""

    def __init__(self, stack, *, console, python, token, home):
        self._stack = stack
        self._how = {"console": console, "token": token}
        self._python = str(python)
        self._home = home
        self._places = {}

    def fill(self, place):
        """Returns when the engine is registered."""
        known = set(ids_of_ready())
        arguments = ("tiny", "--model", "m", "--vllm-python", self._python)
        output = self._home / f"output-{place}"
        engine = serving(*arguments, output=output, **self._how)
        self._places[place] = self._stack.enter_context(engine)
        wait_until(lambda: set(ids_of_ready()) - known, seconds=30)

    def empty(self, place):
        """Returns how it ended."""
        served = self._places[place]
        served.look_around()
        served.process.send_signal(signal.SIGTERM)
        code = served.process.wait(timeout=30)
        assert served.is_gone()
        return code, served.said


def ids_of_ready():
    ready = ModelEndpoint.objects.filter(state="ready")
    return list(ready.values_list("public_id", flat=True))


async def ask_until(done, gateway, member, answers):
    while not done.is_set():
        answer = await gateway.chat(member, **STREAM)
        assert answer.status == 200, answer.body
        assert answer.events[-1] == "[DONE]", answer.events[-3:]
        answers[member.tenant.slug] += 1


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.nightly)])
async def test_restarting_engines_one_after_the_other_loses_nothing(
    rack, gateway, acme, rival, rounds
):
    for place in (0, 1):
        await in_database(rack.fill, place)
    await gateway.worker.follower.catch_up()
    answers, done = Counter(), asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            member = (acme, rival)[number % 2]
            tasks.create_task(ask_until(done, gateway, member, answers))
        for number in range(rounds):
            code, said = await in_database(rack.empty, number % 2)
            assert (code, "drained in" in said) == (0, True), said
            await in_database(rack.fill, number % 2)
        done.set()

    events = await ledger(rows=answers.total())
    assert min(answers.values()) > 0
    assert len(events) == answers.total()
    assert {(event.status, event.completion_tokens) for event in events} == {("completed", 10)}
