"""Runs with a value that PostgreSQL refuses: they end, and so do their rows.

Doors refuse such values, and the texts of models are cleaned, so that the runs start here.
"""

import asyncio

import pytest

from agents.models import Run
from agents.schema.items import user_message
from agents.schema.run_request import RunRequest
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.runs import respond, run_row

pytestmark = pytest.mark.usefixtures("tiny")

END_SECONDS = 30.0


async def start(gateway, member, text="hi", **facts):
    principal = await gateway.worker.gateway.keyring.authenticate(member.key)
    request = RunRequest(door="responses", model="tiny", input=(user_message(text),), **facts)
    return await gateway.worker.gateway.runner.start(principal, request)


async def end_of(run):
    async with asyncio.timeout(END_SECONDS):
        await run.finished.wait()
    return run.error


@pytest.mark.parametrize("background", [False, True])
async def test_a_run_whose_row_is_refused_ends_as_not_stored(gateway, acme, engine, background):
    engine.behave(Behaviour(tokens=3))
    run = await start(gateway, acme, metadata={"a": "\0"}, background=background)

    error = await end_of(run)

    assert background or error.code == "run_not_kept"
    assert not background or run.started.exception().code == "unstorable_value"
    assert not len(gateway.worker.gateway.runner)
    assert await in_database(Run.objects.count) == 0


async def test_a_run_whose_items_are_refused_ends_in_its_row_too(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))
    run = await start(gateway, acme, text="\0")

    error = await end_of(run)
    row = await run_row(run.id)

    assert error.code == "run_not_kept"
    assert (row.state, row.error["code"]) == ("failed", "run_not_kept")
    assert (await respond(gateway, acme)).status == 200
