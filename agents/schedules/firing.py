"""Due schedules: each is claimed once, and its run is inserted in the same transaction.

If the process ends in between, nothing has happened, and the next task claims the schedule again.
The run has the schedule and the due time as its `client_id`, so that a due time has one run even if
it was claimed twice.
"""

import logging
from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.errors import AgentPaused, NotPublished
from agents.models import Run, Schedule, ScheduleFiring
from agents.models.schedule import FiringState
from agents.runs.store import insert_run
from agents.schedules.cron import parse_cron
from agents.schedules.due import Firing, decide_firing
from agents.schema.checkpoint import RunCheckpoint, dump_checkpoint
from agents.schema.items import user_message
from agents.schema.run_records import DuplicateRun, NewRun, QueueEntry
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from kernel.errors import PlatformError
from kernel.ids import new_id
from tenants.models import ApiKey
from tenants.scoping import every_tenant

log = logging.getLogger(__name__)

DOOR = "schedule"
NO_WORKER = ""
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
            record.run = insert(schedule, firing)
        record.state = FiringState.STARTED
    except PlatformError as error:
        log.warning(
            "schedules: run not started (schedule=%s, error=%s)", schedule.public_id, error.code
        )
        record.state, record.error_code = FiringState.FAILED, error.code


def insert(schedule: Schedule, firing: Firing) -> Run:
    """Insert the queued run. Raises NotPublished, AgentPaused and QueueFull."""
    new = new_run(schedule, firing)
    result = insert_run(new)
    run_id = result.run_id if isinstance(result, DuplicateRun) else new.id
    run: Run = Run.objects.get(public_id=run_id)
    return run


def current_key(schedule: Schedule) -> ApiKey:
    """Return the schedule's key, or the newest that replaced it and is not blocked."""
    lineage = ApiKey.objects.of_lineage(schedule.api_key_id)
    newest: ApiKey | None = lineage.filter(blocked_at=None).last()
    return newest or schedule.api_key


def delete_old_firings(*, now: datetime) -> int:
    """Delete the history of schedules that is older than HISTORY. The runs remain."""
    with every_tenant():  # a periodic task for all tenants
        deleted, _ = ScheduleFiring.objects.filter(created_at__lt=now - HISTORY).delete()
        return int(deleted)


def new_run(schedule: Schedule, firing: Firing) -> NewRun:
    """Return the run of a due time, with the published revision of the agent."""
    agent, revision = schedule.agent, schedule.agent.published
    if revision is None:
        raise NotPublished
    if agent.is_paused:
        raise AgentPaused
    key = current_key(schedule)
    request = RunRequest(
        door=DOOR,
        model=agent.slug,
        input=(user_message(schedule.input),),
        client_id=f"{schedule.public_id}:{firing.due_at:%Y%m%dT%H%MZ}",
        background=True,
        metadata={"schedule": schedule.public_id, "due_at": firing.due_at.isoformat()},
    )
    run_settings = RunSettings(
        response_id=new_id("resp"),
        model=agent.slug,
        created_at=int(timezone.now().timestamp()),
        metadata=request.metadata,
        background=True,
        fingerprint=request.fingerprint,
    )
    checkpoint = RunCheckpoint(
        run_request=request,
        settings=run_settings,
        key=key.public_id,
        agent=agent.slug,
        revision=revision.number,
    )
    return NewRun(
        id=run_settings.response_id,
        tenant_id=schedule.tenant_id,
        worker=NO_WORKER,
        door=DOOR,
        model=agent.slug,
        agent=agent.slug,
        agent_revision=revision.number,
        route=revision.route.name,
        api_key_id=key.pk,
        member_id=key.member_id,
        client_id=request.client_id,
        fingerprint=request.fingerprint,
        request=msgspec.to_builtins(run_settings),
        background=True,
        waits=True,
        # So that a schedule has one waiting run at most, however few nodes there are.
        queue=QueueEntry(deadline=firing.next_at, max_queued=settings.TENANT_QUEUED_RUNS),
        checkpoint=dump_checkpoint(checkpoint),
    )
