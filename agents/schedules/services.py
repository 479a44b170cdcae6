"""The services that change schedules. Nothing else writes them, but the claims of due ones."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.errors import NotPublished, ScheduleNameTaken, TooManySchedules
from agents.models import Agent, Schedule
from agents.schedules.cron import next_times, parse_cron
from kernel.audit import note_transition
from kernel.errors import InvalidParameter, NotFound
from kernel.ids import new_id
from tenants.models import ApiKey, Tenant
from tenants.models.api_key import Scope
from tenants.scoping import tenant_scope

MAX_SCHEDULES_PER_TENANT = 200
SHOWN_TIMES = 5


def create_schedule(*, tenant: Tenant, agent: Agent, api_key: ApiKey, **fields: Any) -> Schedule:
    """Create a schedule, which is active at once.

    `fields` are `name`, `input`, `cron`, and optionally `time_zone` and `missed`. Raises what
    `save_schedule` raises, and TooManySchedules.
    """
    schedule = Schedule(
        tenant=tenant,
        public_id=new_id("sched"),
        agent=agent,
        api_key=api_key,
        **fields,
    )
    with tenant_scope(tenant.pk):
        if Schedule.objects.count() >= MAX_SCHEDULES_PER_TENANT:
            raise TooManySchedules
    save_schedule(schedule=schedule)
    return schedule


def save_schedule(*, schedule: Schedule) -> None:
    """Store a new or changed schedule, and compute when it runs next.

    Raises InvalidCron, CronNeverFires, ScheduleNameTaken, NotPublished, InvalidParameter for a key
    that may not use the agent, and NotFound for an agent or key of another tenant.
    """
    with tenant_scope(schedule.tenant_id):
        ensure_usable(schedule)
        schedule.next_at = None if schedule.is_paused else next_time(schedule, timezone.now())
        try:
            with transaction.atomic():
                schedule.save()
        except IntegrityError as error:
            raise ScheduleNameTaken(param="name") from error


def ensure_usable(schedule: Schedule) -> None:
    """Check the agent and the key, which must be the tenant's own."""
    agent = Agent.objects.filter(pk=schedule.agent_id).first()
    if agent is None:
        raise NotFound("This tenant has no such agent.", param="agent")
    if agent.published_id is None:
        raise NotPublished(param="agent")
    key = ApiKey.objects.filter(pk=schedule.api_key_id).first()
    if key is None:
        raise NotFound("This tenant has no such API key.", param="api_key")
    if key.blocked_at is not None or Scope.CHAT not in key.scopes:
        raise InvalidParameter("This key is blocked, or has no scope `chat`.", param="api_key")
    if key.allowed_models and agent.slug not in key.allowed_models:
        raise InvalidParameter("This key may not use this agent.", param="api_key")
    if not schedule.input.strip():
        raise InvalidParameter("The input is empty. Write a message.", param="input")


def pause_schedule(*, schedule: Schedule) -> bool:
    """Pause a schedule. False if it was paused already."""
    with tenant_scope(schedule.tenant_id), transaction.atomic():
        active = Schedule.objects.filter(pk=schedule.pk, is_paused=False)
        changed = active.update(is_paused=True, next_at=None) == 1
        if changed:
            note_transition(schedule, field="is_paused", before=False, after=True)
    return changed


def resume_schedule(*, schedule: Schedule) -> bool:
    """Resume a paused schedule at its next time. False if it was not paused."""
    upcoming = next_time(schedule, timezone.now())
    with tenant_scope(schedule.tenant_id), transaction.atomic():
        paused = Schedule.objects.filter(pk=schedule.pk, is_paused=True)
        changed = paused.update(is_paused=False, next_at=upcoming) == 1
        if changed:
            note_transition(schedule, field="is_paused", before=True, after=False)
    return changed


def delete_schedule(*, schedule: Schedule) -> None:
    """Delete a schedule with its history. Its runs remain."""
    with tenant_scope(schedule.tenant_id):
        schedule.delete()


def next_time(schedule: Schedule, after: datetime) -> datetime:
    (first,) = next_times(parse_cron(schedule.cron, zone=schedule.time_zone), after=after, count=1)
    return first


def upcoming_times(schedule: Schedule) -> list[datetime]:
    """Return the next times of a schedule, in its zone. Empty while it is paused."""
    if schedule.is_paused:
        return []
    expression = parse_cron(schedule.cron, zone=schedule.time_zone)
    found = next_times(expression, after=timezone.now(), count=SHOWN_TIMES)
    return [each.astimezone(expression.zone) for each in found]
