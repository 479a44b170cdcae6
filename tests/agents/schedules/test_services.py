"""Schedules are created, changed, paused and deleted, and refuse what cannot work."""

import pytest
from django.utils import timezone

from agents import services as agents
from agents.errors import (
    CronNeverFires,
    InvalidCron,
    NotPublished,
    ScheduleNameTaken,
    TooManySchedules,
)
from agents.models import Schedule
from agents.schedules import services
from kernel.errors import InvalidParameter, NotFound
from tenants import services as tenants
from tests.agents.schedules.conftest import daily, equip
from tests.fixtures.console.people import rows

pytestmark = pytest.mark.django_db


def stored():
    return rows(Schedule).get()


def test_a_new_schedule_is_active_and_knows_its_next_times(ours):
    schedule = daily(ours)

    times = services.upcoming_times(schedule)
    assert schedule.public_id.startswith("sched_")
    assert stored().next_at == times[0] > timezone.now()
    assert [(each.hour, each.minute) for each in times] == [(9, 0)] * 5


def test_a_changed_time_moves_the_next_run(ours):
    schedule = daily(ours)
    schedule.cron = "* * * * *"

    services.save_schedule(schedule=schedule)

    assert (stored().next_at - timezone.now()).total_seconds() <= 60


def test_a_pause_removes_the_next_time_and_a_change_does_not_end_it(ours):
    schedule = daily(ours)

    assert [services.pause_schedule(schedule=schedule) for _ in range(2)] == [True, False]
    paused = stored()
    assert (paused.is_paused, paused.next_at, services.upcoming_times(paused)) == (True, None, [])
    paused.name = "evening"
    services.save_schedule(schedule=paused)
    assert stored().next_at is None

    assert [services.resume_schedule(schedule=paused) for _ in range(2)] == [True, False]
    assert stored().next_at > timezone.now()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cron": "* * * * * *"}, InvalidCron),
        ({"cron": "0 0 30 2 *"}, CronNeverFires),
        ({"time_zone": "Europe/Nowhere"}, InvalidCron),
        ({"input": " \n"}, InvalidParameter),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_stored(ours, changes, error):
    with pytest.raises(error):
        daily(ours, **changes)
    assert not rows(Schedule).exists()


@pytest.mark.parametrize("name", ["agent", "api_key"])
def test_an_agent_or_key_of_another_tenant_is_not_found(ours, theirs, name):
    with pytest.raises(NotFound) as refused:
        daily(ours, **{name: getattr(theirs, name)})
    assert refused.value.param == name
    assert not rows(Schedule).exists()


def test_an_agent_that_is_not_published_is_refused(ours, route):
    draft = agents.create_agent(tenant=ours.tenant, slug="draft", name="Draft", route=route)
    with pytest.raises(NotPublished):
        daily(ours, agent=draft)


@pytest.mark.parametrize("key", [{"scopes": ["embeddings"]}, {"allowed_models": ["other"]}])
def test_a_key_that_may_not_use_the_agent_is_refused(acme, route, key):
    with pytest.raises(InvalidParameter):
        daily(equip(acme, route, **key))


def test_a_blocked_key_is_refused(ours):
    tenants.block_key(key=ours.api_key, now=timezone.now())
    with pytest.raises(InvalidParameter):
        daily(ours)


def test_a_name_is_unique_in_a_tenant_only(ours, theirs):
    daily(ours)
    daily(theirs)
    with pytest.raises(ScheduleNameTaken):
        daily(ours)


def test_a_tenant_has_a_bounded_number_of_schedules(ours, theirs, monkeypatch):
    monkeypatch.setattr(services, "MAX_SCHEDULES_PER_TENANT", 1)
    daily(ours)
    daily(theirs)
    with pytest.raises(TooManySchedules):
        daily(ours, name="evening")


def test_deleting_an_agent_deletes_its_schedules(ours):
    daily(ours)
    agents.delete_agent(agent=ours.agent)
    assert not rows(Schedule).exists()
