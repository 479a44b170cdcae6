"""Due schedules start one run for each due time, whoever looks and however often."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents import services as agents
from agents.models import Run, Schedule, ScheduleFiring
from agents.schedules import services
from agents.schedules.due import MISSED_AFTER
from agents.schedules.firing import delete_old_firings, fire, fire_due
from tenants import services as tenants
from tenants.scoping import every_tenant
from tests.agents.schedules.conftest import daily
from tests.fixtures.console.people import rows

DUE = datetime(2026, 11, 30, 8, tzinfo=UTC)  # nine o'clock in Berlin


def due_now(owner, **changes):
    """Create a schedule that is due at DUE."""
    schedule = daily(owner, **changes)
    rows(Schedule).filter(pk=schedule.pk).update(next_at=DUE)
    schedule.next_at = DUE
    return schedule


def firings():
    return [(each.state, each.error_code) for each in rows(ScheduleFiring).order_by("pk")]


@pytest.mark.django_db
def test_a_due_schedule_queues_a_background_run_that_its_key_pays_for(ours, theirs):
    schedule = due_now(ours)
    daily(theirs)

    assert fire_due(now=DUE) == 1

    run = rows(Run).get()
    checkpoint = json.loads(run.checkpoint)
    assert (run.tenant_id, run.api_key_id, run.agent) == (
        ours.tenant.pk, ours.api_key.pk, "reporter",
    )  # fmt: skip
    assert (run.state, run.worker, run.background, run.agent_revision) == ("queued", "", True, 1)
    assert run.deadline == DUE + timedelta(days=1)
    assert checkpoint["create"]["input"][0]["content"][0]["text"] == "Write the report."
    assert run.request["metadata"]["schedule"] == schedule.public_id
    assert firings() == [("started", "")]
    assert rows(ScheduleFiring).get().run == run
    stored = rows(Schedule).get(pk=schedule.pk)
    assert (stored.last_at, stored.next_at) == (DUE, DUE + timedelta(days=1))


@pytest.mark.django_db
def test_a_task_that_comes_twice_starts_nothing_twice(ours):
    schedule = due_now(ours)

    assert [fire_due(now=DUE) for _ in range(2)] == [1, 0]
    with every_tenant():
        assert fire(schedule, now=DUE) is False

    assert rows(Run).count() == rows(ScheduleFiring).count() == 1


@pytest.mark.django_db
def test_a_due_time_that_had_its_run_before_a_crash_joins_it(ours):
    """As after a restore of the table of schedules, but not of runs."""
    schedule = due_now(ours)
    fire_due(now=DUE)
    rows(ScheduleFiring).all().delete()
    rows(Schedule).filter(pk=schedule.pk).update(next_at=DUE)

    fire_due(now=DUE)

    assert rows(Run).count() == 1
    assert rows(ScheduleFiring).get().run == rows(Run).get()


@pytest.mark.django_db(transaction=True)
def test_of_many_schedulers_at_once_one_starts_the_run(ours):
    schedule = due_now(ours)
    begin, won = threading.Barrier(4), []

    def schedule_once():
        with every_tenant():
            begin.wait()
            won.append(fire(schedule, now=DUE))
        connection.close()

    threads = [threading.Thread(target=schedule_once) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(won) == [False, False, False, True]
    assert rows(Run).count() == rows(ScheduleFiring).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("missed", "state", "runs"), [("skip", "skipped", 0), ("run_once", "started", 1)]
)
def test_a_missed_time_follows_the_policy(ours, missed, state, runs):
    due_now(ours, missed=missed)

    fire_due(now=DUE + timedelta(days=7) + 2 * MISSED_AFTER)

    assert firings() == [(state, "")]
    assert rows(Run).count() == runs
    assert rows(Schedule).get().next_at == DUE + timedelta(days=8)


@pytest.mark.django_db
def test_a_paused_agent_starts_no_run_and_the_history_says_so(ours):
    due_now(ours)
    agents.pause_agent(agent=ours.agent)

    fire_due(now=DUE)

    assert firings() == [("failed", "agent_paused")]
    assert not rows(Run).exists()
    assert rows(Schedule).get().next_at > DUE


@pytest.mark.django_db
def test_a_full_queue_is_a_reason_and_stops_no_other_schedule(ours, theirs, settings):
    settings.TENANT_QUEUED_RUNS = 1
    due_now(ours)
    due_now(ours, name="again")
    due_now(theirs)

    assert fire_due(now=DUE) == 3

    assert sorted(firings()) == [("failed", "queue_full"), ("started", ""), ("started", "")]
    assert rows(Run).filter(tenant=theirs.tenant).count() == 1


@pytest.mark.django_db
def test_a_rotated_key_is_followed_by_its_successor(ours):
    due_now(ours)
    issued = tenants.rotate_key(key=ours.api_key, now=timezone.now())

    fire_due(now=DUE)

    assert rows(Run).get().api_key_id == issued.key.pk


@pytest.mark.django_db
def test_history_is_deleted_after_90_days_and_the_run_remains(ours):
    due_now(ours)
    fire_due(now=DUE)
    made = timezone.now()

    kept = delete_old_firings(now=made + timedelta(days=89))
    assert (kept, delete_old_firings(now=made + timedelta(days=91))) == (0, 1)
    assert rows(Run).count() == 1


@pytest.mark.django_db
def test_a_paused_schedule_is_not_due(ours):
    schedule = due_now(ours)
    services.pause_schedule(schedule=schedule)

    assert fire_due(now=timezone.now() + timedelta(days=9)) == 0
    assert not rows(ScheduleFiring).exists()
