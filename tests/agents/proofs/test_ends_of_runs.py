"""However a run ends, it ends once: in the table, in its log, and in the ledger."""

import asyncio
import random

import pytest
from django.conf import settings

from agents.models import Run
from agents.runtime.execution.outcome import StopCause
from kernel.storage.redis import connect
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import frames_until, open_stream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]

SEED = 20261121
AT_ONCE = 25
KINDS = ("completes", "fails", "is cancelled", "is left", "is cut", "is cancelled twice")


async def end_somehow(gateway, member, kind, chance):
    """One run, and what happens to it at a moment that nobody chose."""
    context = "[fake tokens=12 token_seconds=0.02]"
    if kind == "fails":
        context = f"[fake fault={Fault.DIES_AFTER} after_chunks={chance.randrange(1, 6)}]"
    store = chance.random() < 0.5
    answer = await open_stream(gateway.client, gateway.url, member, input=context, store=store)
    frames = await frames_until(answer, "response.in_progress")
    path = f"/v1/responses/{frames[0]['response']['id']}"
    if kind in {"completes", "fails"}:
        await answer.read()
        return
    await asyncio.sleep(chance.random() * 0.35)
    if kind.startswith("is cancelled"):
        times = 2 if kind.endswith("twice") else 1
        await asyncio.gather(*(gateway.post(member, path + "/cancel") for _ in range(times)))
    if kind == "is cut":
        gateway.worker.gateway.runner.stop(path.rsplit("/", 1)[-1], choose_stop(chance))
    answer.close()


def choose_stop(chance):
    return chance.choice(
        [StopCause.INTERRUPTED, StopCause.TIME_IS_UP, StopCause.CLIENT_LEFT, StopCause.ROLLED_BACK]
    )


def ends_in_log(run_id):
    with connect(settings.REDIS_URL) as client:
        entries = client.xrange(f"tenantry:run:{run_id}:events")
    kinds = [fields[b"e"].split(b'"', 4)[3].decode() for _, fields in entries]
    terminal = {"response.completed", "response.incomplete", "response.failed"}
    return [place for place, kind in enumerate(kinds) if kind in terminal], len(kinds)


async def test_five_hundred_runs_end_once_each(gateway, acme, engine):
    engine.behave(Behaviour(tokens=12, token_seconds=0.02))
    chance = random.Random(SEED)
    for _ in range(0, 500, AT_ONCE):
        kinds = [chance.choice(KINDS) for _ in range(AT_ONCE)]
        await asyncio.gather(*(end_somehow(gateway, acme, kind, chance) for kind in kinds))
    await eventually(lambda: len(gateway.worker.gateway.runner) == 0, within=20)

    runs = await in_database(lambda: list(Run.objects.all()))
    assert len(runs) == 500
    assert {run.state for run in runs} == {"completed", "failed", "incomplete", "cancelled"}
    for run in runs:
        ends, length = await in_database(ends_in_log, run.public_id)
        assert ends == [length - 1]
    events = await ledger(rows=500, within=20)
    assert len({event.client_request_id for event in events}) == len(events) == 500
