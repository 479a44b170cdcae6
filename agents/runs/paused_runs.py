"""Runs that wait for approvals, in PostgreSQL: paused, found, resumed by one worker, ended.

Synchronous: the gateway calls these on its database threads.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from agents.errors import ApprovalResolved
from agents.models import Approval, Run
from agents.models.choices import ACTIVE, ApprovalState, RunState
from agents.runs import approvals
from agents.runs.store import LEASE, find_run, run_record_of, save_partial_items
from agents.runtime.loop.tool_output import storable, storable_json
from agents.schema.approval_decision import ApprovalDecision
from agents.schema.items import ApprovalRequest
from agents.schema.run_records import APPROVAL_EXPIRED, PausedState, RunRecord
from kernel.errors import NotFound
from tenants.scoping import every_tenant, tenant_scope

MAX_RUNS_PER_READ = 100
DECIDED = {ApprovalState.APPROVED: True, ApprovalState.DENIED: False}


def save_checkpoint(run_id: str, worker: str, checkpoint: str) -> bool:
    """Store the progress of a run. False if this worker does not hold it any more."""
    with every_tenant():  # by its id, which this worker gave it
        rows = Run.objects.filter(public_id=run_id, worker=worker, state=RunState.IN_PROGRESS)
        return rows.update(checkpoint=checkpoint) == 1


@transaction.atomic
def create_approvals(
    tenant_id: int, run_id: str, requests: Sequence[ApprovalRequest]
) -> Mapping[str, ApprovalDecision]:
    """Create approvals for calls, unless they exist. Returns the decisions so far, by id."""
    with tenant_scope(tenant_id):
        run = find_run(run_id)
        Approval.objects.bulk_create(
            [approval_of(request, run) for request in requests], ignore_conflicts=True
        )
        rows = Approval.objects.filter(run=run, public_id__in=[each.id for each in requests])
        return {
            row.public_id: ApprovalDecision(
                approve=DECIDED[ApprovalState(row.state)], reason=row.reason
            )
            for row in rows.filter(state__in=DECIDED)
        }


def approval_of(request: ApprovalRequest, run: Run) -> Approval:
    return Approval(
        tenant_id=run.tenant_id,
        run=run,
        public_id=request.id,
        call_id=storable(request.call_id)[:100],
        tool=request.name[:64],
        arguments=storable_json(msgspec.json.decode(request.arguments or "{}")),
        note=request.note,
    )


def pause_run(pause: PausedState) -> str | None:
    """Pause a run. Returns None if it is paused; else "lost" if another worker has taken it, or the
    reason of a requested cancellation.
    """
    with every_tenant():  # by its id, which this worker gave it
        rows = Run.objects.filter(public_id=pause.id, worker=pause.worker)
        paused = rows.filter(state=RunState.IN_PROGRESS, cancel_requested_at=None).update(
            state=RunState.REQUIRES_APPROVAL,
            worker="",
            lease_until=None,
            checkpoint=pause.checkpoint,
            prompt_tokens=pause.usage.prompt_tokens,
            cached_tokens=pause.usage.cached_tokens,
            completion_tokens=pause.usage.completion_tokens,
            reasoning_tokens=pause.usage.reasoning_tokens,
            steps=pause.steps,
            tool_calls=pause.tool_calls,
        )
        if paused:
            return None
        why = rows.filter(state=RunState.IN_PROGRESS).values_list("incomplete_reason", flat=True)
        return next(iter(why), "lost") or "cancelled"


def undecided() -> Exists:
    return Exists(Approval.objects.filter(run=OuterRef("pk"), state=ApprovalState.PENDING))


def find_decided() -> Sequence[str]:
    """Return paused runs whose approvals are all decided, the oldest first."""
    with every_tenant():  # a worker resumes the runs of all tenants
        rows = Run.objects.filter(~undecided(), state=RunState.REQUIRES_APPROVAL)
        return list(rows.order_by("pk").values_list("public_id", flat=True)[:MAX_RUNS_PER_READ])


def load_decided(run_id: str) -> tuple[int, str] | None:
    """Return the tenant and checkpoint of a paused run whose approvals are decided; else None."""
    with every_tenant():
        rows = Run.objects.filter(~undecided(), public_id=run_id, state=RunState.REQUIRES_APPROVAL)
        found = rows.values_list("tenant_id", "checkpoint").first()
        known: tuple[int, str] | None = found
        return known


def claim_decided(run_id: str, worker: str) -> int | None:
    """Resume a paused run whose approvals are decided. Returns its attempt to one of several
    workers, and None to the others.
    """
    with every_tenant():
        rows = Run.objects.filter(~undecided(), public_id=run_id, state=RunState.REQUIRES_APPROVAL)
        taken = rows.update(state=RunState.IN_PROGRESS, worker=worker, lease_until=Now() + LEASE)
        mine = Run.objects.filter(public_id=run_id, worker=worker)
        return mine.values_list("attempt", flat=True).first() if taken else None


def decide(
    tenant_id: int, run_id: str, approval_id: str, *, approve: bool, reason: str, by: str
) -> str:
    """Decide an approval for a client. Returns its new state.

    Raises ApprovalResolved, and NotFound, the same for an approval of another tenant.
    """
    with tenant_scope(tenant_id):
        rows = Approval.objects.select_related("run")
        found = rows.filter(public_id=approval_id, run__public_id=run_id).first()
    if found is None:
        raise NotFound("There is no such approval here.", param="approval_id")
    decision: approvals.Decision = "approved" if approve else "denied"
    if not approvals.resolve(approval=found, by=by, decision=decision, reason=storable(reason)):
        raise ApprovalResolved
    return decision


def expire_waiting(*, now: datetime, after: timedelta) -> list[RunRecord]:
    """End the runs whose approvals were not decided in time. Returns those that it ended."""
    with every_tenant():  # a periodic task for all tenants
        gone = Approval.objects.filter(state=ApprovalState.PENDING).exclude(run__state__in=ACTIVE)
        gone.update(state=ApprovalState.EXPIRED, resolved_at=now)
        late = Approval.objects.filter(
            state=ApprovalState.PENDING,
            created_at__lt=now - after,
            run__state=RunState.REQUIRES_APPROVAL,
        )
        oldest = late.order_by("created_at")
        runs = set(oldest.values_list("run__public_id", flat=True)[:MAX_RUNS_PER_READ])
        return [ended for run_id in sorted(runs) if (ended := expire(run_id, now=now))]


@transaction.atomic
def expire(run_id: str, *, now: datetime) -> RunRecord | None:
    pending = Approval.objects.filter(run__public_id=run_id, state=ApprovalState.PENDING)
    if not pending.update(state=ApprovalState.EXPIRED, resolved_at=now):
        return None  # it was decided in the meantime
    rows = Run.objects.filter(public_id=run_id, state=RunState.REQUIRES_APPROVAL)
    if not rows.update(
        state=RunState.INCOMPLETE, incomplete_reason=APPROVAL_EXPIRED, ended_at=Now()
    ):
        return None
    save_partial_items(run_id)
    return run_record_of(find_run(run_id))
