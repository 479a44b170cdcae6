"""The console's page of schedules."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from agents.models import Schedule, ScheduleFiring
from tests.agents.schedules.conftest import daily
from tests.fixtures.console.people import rows
from tests.fixtures.runs.conversations import make_run


def page(name, *args):
    return reverse(f"admin:agents_schedule_{name}", args=args)


def form(owner, **changes):
    fields = {
        "tenant": owner.tenant.pk,
        "name": "morning",
        "agent": owner.agent.pk,
        "api_key": owner.api_key.pk,
        "input": "Write the report.",
        "cron": "0 9 * * *",
        "time_zone": "Europe/Berlin",
        "missed": "skip",
    }
    return {**fields, **changes}


def test_a_schedule_is_created_and_shows_its_next_five_times(console, ours):
    answer = console.post(page("add"), form(ours), follow=True)

    schedule = rows(Schedule).get()
    shown = console.get(page("change", schedule.pk)).content.decode()
    assert answer.status_code == 200
    assert shown.count("09:00 CE") == 5
    assert "morning" in console.get(page("changelist")).content.decode()


def test_an_expression_that_never_fires_is_an_error_of_the_form(console, ours):
    shown = console.post(page("add"), form(ours, cron="0 0 30 2 *")).content.decode()
    assert "the schedule would never run" in shown
    assert not rows(Schedule).exists()


def test_an_agent_of_another_tenant_is_an_error_of_the_form(console, ours, theirs):
    shown = console.post(page("add"), form(ours, agent=theirs.agent.pk)).content.decode()
    assert "This tenant has no such agent." in shown
    assert not rows(Schedule).exists()


def test_its_history_leads_to_its_runs(console, ours):
    schedule = daily(ours)
    run = make_run(ours.tenant)
    for number, (state, of) in enumerate([("started", run), ("failed", None)]):
        ScheduleFiring._base_manager.create(
            tenant=ours.tenant,
            schedule=schedule,
            due_at=timezone.now() - timedelta(days=number),
            state=state,
            run=of,
            error_code="" if of else "agent_paused",
        )

    shown = console.get(page("change", schedule.pk)).content.decode()

    assert run.public_id in shown
    assert "agent_paused" in shown


def test_a_schedule_is_paused_resumed_and_deleted(console, ours):
    schedule = daily(ours)

    console.post(page("pause", schedule.pk))
    assert "none while it is paused" in console.get(page("change", schedule.pk)).content.decode()
    console.post(page("resume", schedule.pk))
    assert rows(Schedule).get().next_at is not None
    console.post(page("delete", schedule.pk), {"post": "yes"})
    assert not rows(Schedule).exists()


def test_the_list_asks_no_query_for_each_row(console, ours, django_assert_max_num_queries):
    for number in range(8):
        daily(ours, name=f"schedule {number}")
    with django_assert_max_num_queries(10):
        console.get(page("changelist"))
