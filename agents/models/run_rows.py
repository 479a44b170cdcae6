"""The state machine of a run: each transition is one conditional update of its row.

queued → in_progress → completed | failed | incomplete | cancelled, with requires_approval between
two periods of in_progress. A run never leaves a terminal state. The transitions that clients wait
for, start and end, are in `agents.runs.statements`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from agents.models.choices import ACTIVE, RunState

HELD = (RunState.QUEUED, RunState.IN_PROGRESS)
"""States in which a worker must renew the lease. A run that waits for approval has no lease."""
RUNNING = (RunState.IN_PROGRESS, RunState.REQUIRES_APPROVAL)


class RunQuerySet(models.QuerySet[Any]):
    """Transitions. They use the database's clock, because the workers' clocks differ."""

    def claim(self, *, public_id: str, worker: str, lease: timedelta) -> bool:
        """Start a queued run unless another run of its conversation is active or first in line."""
        others = RunQuerySet(self.model).filter(conversation=OuterRef("conversation"))
        before = others.filter(
            Q(state__in=RUNNING) | Q(state=RunState.QUEUED, pk__lt=OuterRef("pk"))
        )
        rows = self.filter(public_id=public_id, worker=worker, state=RunState.QUEUED)
        try:
            with transaction.atomic():
                started = rows.filter(~Exists(before)).update(
                    state=RunState.IN_PROGRESS, started_at=Now(), lease_until=Now() + lease
                )
        except IntegrityError:
            return False  # another run of the conversation started at the same moment
        return started == 1

    def renew(self, *, worker: str, public_ids: Sequence[str], lease: timedelta) -> None:
        """Extend the leases of a worker's runs."""
        mine = self.filter(worker=worker, public_id__in=public_ids, state__in=HELD)
        mine.update(lease_until=Now() + lease)

    def request_cancel(self, *, public_id: str, why: str) -> bool:
        """Request the cancellation of a run. False if it has ended or was requested before."""
        rows = self.filter(public_id=public_id, state__in=ACTIVE, cancel_requested_at=None)
        return rows.update(cancel_requested_at=Now(), incomplete_reason=why) == 1

    def cancel_waiting(self, *, public_id: str) -> bool:
        """Cancel a run that no worker holds: it waits for an approval, or in the run queue."""
        rows = self.filter(public_id=public_id, state__in=ACTIVE, worker="")
        return rows.update(state=RunState.CANCELLED, ended_at=Coalesce("ended_at", Now())) == 1

    def expired_at(self, moment: datetime) -> "RunQuerySet":
        """Return runs whose lease ended before `moment`."""
        return self.filter(state__in=HELD, lease_until__lt=moment)

    def fail_expired(self, *, public_id: str, error: dict[str, str], moment: datetime) -> bool:
        """End a run whose worker died. Of many callers exactly one gets True."""
        rows = self.expired_at(moment).filter(public_id=public_id)
        return (
            rows.update(state=RunState.FAILED, error=error, ended_at=Now(), lease_until=None) == 1
        )
