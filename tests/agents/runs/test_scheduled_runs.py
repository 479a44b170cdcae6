"""A schedule from its due time to the answer: an agent node executes the run."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from agents import services as agents
from agents.models import Run, Schedule, ScheduleFiring
from agents.schedules.firing import fire_due
from agents.schedules.services import create_schedule
from inference.models import ModelRoute
from tenants.models import ApiKey
from tenants.scoping import tenant_scope
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.runs.nodes import running_node
from tests.fixtures.runs.runs import run_reaches
from tests.fixtures.servers import processes
from tests.fixtures.servers.timed_work import timed_work

pytestmark = pytest.mark.usefixtures("tiny")


def make_due_schedule(member):
    with tenant_scope(member.tenant.pk):
        key = ApiKey.objects.get()
    route = ModelRoute.objects.get()
    agent = agents.create_agent(tenant=member.tenant, slug="reporter", name="R", route=route)
    agents.publish(agent=agent)
    create_schedule(
        tenant=member.tenant,
        agent=agent,
        api_key=key,
        name="morning",
        input="Write the report.",
        cron="0 9 * * *",
    )
    Schedule._base_manager.update(next_at=timezone.now() - timedelta(seconds=1))


def start_scheduled_run(member):
    make_due_schedule(member)
    assert fire_due(now=timezone.now()) == 1
    return Run._base_manager.get().public_id


async def test_a_scheduled_run_is_executed_once_and_billed_to_its_key(gateway, acme, rival, engine):
    engine.behave(Behaviour(tokens=3))
    run_id = await in_database(start_scheduled_run, acme)

    async with running_node():
        await run_reaches(run_id, "completed")

    (event,) = await ledger()
    assert (event.tenant_id, event.completion_tokens) == (acme.tenant.pk, 3)
    messages = engine.records.last.body["messages"]
    assert messages[-1]["content"] == "Write the report."
    shown = (await gateway.get(acme, f"/v1/responses/{run_id}")).json()
    assert shown["status"] == "completed"
    assert shown["metadata"]["schedule"].startswith("sched_")
    assert (await gateway.get(rival, f"/v1/responses/{run_id}")).status == 404


@pytest.mark.nightly
@pytest.mark.timeout(240)
async def test_two_schedulers_of_celery_start_one_run_of_a_due_time(
    tmp_path, gateway, acme, engine
):
    engine.behave(Behaviour(tokens=3))
    await in_database(make_due_schedule, acme)
    env = {"DATABASE_URL": processes.test_database_url(), "REDIS_URL": settings.REDIS_URL}
    one, two = (timed_work(tmp_path / name, env) for name in ("one", "two"))

    async with running_node():
        with one, two:
            (event,) = await ledger(within=150)
        await run_reaches(event.client_request_id, "completed")

    run, history = await in_database(
        lambda: (Run._base_manager.get(), ScheduleFiring._base_manager.get())
    )
    assert (run.state, run.attempt, history.state) == ("completed", 1, "started")
    assert event.client_request_id == run.public_id
    assert len(engine.records) == 1
