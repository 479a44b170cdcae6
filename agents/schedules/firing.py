"""Due schedules: each is claimed once, and its run is inserted in the same transaction.

If the process ends in between, nothing has happened, and the next task claims the schedule again.
The run has the schedule and the due time as its `client_id`, so that a due time has one run even if
it was claimed twice.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from agents.models import Schedule, ScheduleFiring
from agents.models.schedule import FiringState
from agents.runs.background_run import (
    BackgroundRun,
    InsertedRun,
    RunKey,
    current_key,
    insert_background_run,
)
from agents.schedules.cron import parse_cron
from agents.schedules.due import Firing, decide_firing
from kernel.errors import PlatformError
from tenants.scoping import every_tenant

log = logging.getLogger(__name__)

DOOR = "schedule"
MAX_SCHEDULES_PER_TASK = 500
HISTORY = timedelta(days=90)


def fire_due(*, now: datetime) -> int:
    """Start the runs of all due schedules. Returns the number of schedules that were claimed.

    Safe to run concurrently.
    """
    with every_tenant():  # a periodic task for all tenants
        rows = Schedule.objects.filter(next_at__lte=now, is_paused=False)
        related = rows.select_related("tenant", "agent__published__route", "api_key")
        due = list(related.order_by("next_at")[:MAX_SCHEDULES_PER_TASK])
        return sum(fire(schedule, now=now) for schedule in due)


@transaction.atomic
def fire(schedule: Schedule, *, now: datetime) -> bool:
    """Claim a due schedule and start its run. False if another process has claimed it."""
    assert schedule.next_at is not None, "only active schedules are due"
    expression = parse_cron(schedule.cron, zone=schedule.time_zone)
    firing = decide_firing(expression, due_at=schedule.next_at, now=now, missed=schedule.missed)
    if not Schedule.objects.claim(schedule=schedule, next_at=firing.next_at):
        return False
    record = ScheduleFiring(tenant_id=schedule.tenant_id, schedule=schedule, due_at=firing.due_at)
    if not firing.starts:
        record.state = FiringState.SKIPPED
    else:
        start(schedule, firing, record)
    record.save()
    return True


def start(schedule: Schedule, firing: Firing, record: ScheduleFiring) -> None:
    """Insert the run, or record why there is none."""
    try:
        with transaction.atomic():
            record.run_id = insert(schedule, firing).pk
        record.state = FiringState.STARTED
    except PlatformError as error:
        log.warning(
            "schedules: run not started (schedule=%s, error=%s)", schedule.public_id, error.code
        )
        record.state, record.error_code = FiringState.FAILED, error.code


def insert(schedule: Schedule, firing: Firing) -> InsertedRun:
    """Insert the queued run. Raises NotPublished, AgentPaused and QueueFull."""
    return insert_background_run(
        BackgroundRun(
            agent=schedule.agent,
            api_key=RunKey.of(current_key(schedule.api_key_id) or schedule.api_key),
            door=DOOR,
            input=schedule.input,
            client_id=f"{schedule.public_id}:{firing.due_at:%Y%m%dT%H%MZ}",
            metadata={"schedule": schedule.public_id, "due_at": firing.due_at.isoformat()},
            # So that a schedule has one waiting run at most, however few nodes there are.
            deadline=firing.next_at,
            max_queued=settings.TENANT_QUEUED_RUNS,
        )
    )


def delete_old_firings(*, now: datetime) -> int:
    """Delete the history of schedules that is older than HISTORY. The runs remain."""
    with every_tenant():  # a periodic task for all tenants
        deleted, _ = ScheduleFiring.objects.filter(created_at__lt=now - HISTORY).delete()
        return int(deleted)
