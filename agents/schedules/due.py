"""What a due schedule does: start a run, or skip one that was missed. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.models.schedule import MissedPolicy
from agents.schedules.cron import CronExpression

MISSED_AFTER = timedelta(minutes=5)
"""A time that is longer ago was missed: no Celery worker was running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What happens at a due time."""

    due_at: datetime
    starts: bool
    next_at: datetime | None
    """The next due time. Times between are left out, so that an outage causes one run at most."""


def decide_firing(
    expression: CronExpression, *, due_at: datetime, now: datetime, missed: str
) -> Firing:
    """Decide about a schedule that was due at `due_at`, which is not after `now`."""
    is_missed = now - due_at > MISSED_AFTER
    return Firing(
        due_at=due_at,
        starts=not is_missed or missed == MissedPolicy.RUN_ONCE,
        next_at=next(expression.times_after(now), None),
    )
