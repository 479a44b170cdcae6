"""The state machine of a run: each transition is one conditional update that tells who won.

queued → in_progress → completed | failed | incomplete | cancelled, with requires_approval between
two stretches of in_progress. Nothing follows a terminal state. Beginning and end, for which clients
wait, are in `agents.runs.statements`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from agents.models.choices import ACTIVE, RunState

HELD = (RunState.QUEUED, RunState.IN_PROGRESS)
"""States in which a worker must renew the lease. A run that waits for a person has none."""
RUNNING = (RunState.IN_PROGRESS, RunState.REQUIRES_APPROVAL)


class RunQuerySet(models.QuerySet[Any]):
    """Transitions. Times are the database's: the workers' clocks differ."""

    def claim(self, *, public_id: str, worker: str, lease: timedelta) -> bool:
        """Begin a queued run, if no other of its conversation runs or came before it."""
        others = RunQuerySet(self.model).filter(conversation=OuterRef("conversation"))
        before = others.filter(
            Q(state__in=RUNNING) | Q(state=RunState.QUEUED, pk__lt=OuterRef("pk"))
        )
        rows = self.filter(public_id=public_id, worker=worker, state=RunState.QUEUED)
        try:
            with transaction.atomic():
                begun = rows.filter(~Exists(before)).update(
                    state=RunState.IN_PROGRESS, started_at=Now(), lease_until=Now() + lease
                )
        except IntegrityError:
            return False  # another one of the conversation began in the same moment
        return begun == 1

    def renew(self, *, worker: str, public_ids: Sequence[str], lease: timedelta) -> None:
        """Keep a worker's runs from counting as dead."""
        mine = self.filter(worker=worker, public_id__in=public_ids, state__in=HELD)
        mine.update(lease_until=Now() + lease)

    def ask_cancel(self, *, public_id: str, why: str) -> bool:
        """Note that a run is to be cancelled. The first reason stays."""
        rows = self.filter(public_id=public_id, state__in=ACTIVE, cancel_requested_at=None)
        return rows.update(cancel_requested_at=Now(), incomplete_reason=why) == 1

    def cancel_waiting(self, *, public_id: str) -> bool:
        """Cancel a run that waits for a person: no worker holds it."""
        rows = self.filter(public_id=public_id, state=RunState.REQUIRES_APPROVAL)
        return rows.update(state=RunState.CANCELLED, ended_at=Coalesce("ended_at", Now())) == 1

    def dead_at(self, moment: datetime) -> "RunQuerySet":
        """Runs whose worker has not been heard of in time."""
        return self.filter(state__in=HELD, lease_until__lt=moment)

    def bury(self, *, public_id: str, error: dict[str, str], moment: datetime) -> bool:
        """End a run whose worker died. Of many callers exactly one gets True."""
        rows = self.dead_at(moment).filter(public_id=public_id)
        return (
            rows.update(state=RunState.FAILED, error=error, ended_at=Now(), lease_until=None) == 1
        )
