"""The run queue in PostgreSQL: runs that no worker holds, claimed by agent nodes.

A queued run is a row of the table of runs with the state `queued` and no worker; its checkpoint
contains its request. Synchronous: workers call these functions on their database threads.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from agents.models import Run
from agents.models.choices import RunState
from agents.models.conversation import IN_QUEUE
from agents.models.run_rows import RunQuerySet
from agents.runs.store import fail_runs, find_run, run_record_of
from agents.schema.run_records import (
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    QUEUE_EXPIRED,
    ClaimedRun,
    RunRecord,
)
from kernel.storage.database import Statement, execute
from tenants.scoping import every_tenant

MAX_RUNS_PER_EXPIRY = 100
CANDIDATES_PER_SLOT = 4
"""So that nodes that claim at the same moment do not choose the same runs."""

CLAIM_RUNS = """
WITH RECURSIVE waiting (tenant_id) AS (
    (
        SELECT tenant_id FROM agents_run WHERE state = 'queued' AND worker = ''
        ORDER BY tenant_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT run.tenant_id FROM agents_run run
        WHERE run.state = 'queued' AND run.worker = '' AND run.tenant_id > waiting.tenant_id
        ORDER BY run.tenant_id LIMIT 1
    )
    FROM waiting WHERE waiting.tenant_id IS NOT NULL
), running AS (
    SELECT tenant_id, count(*) AS runs FROM agents_run
    WHERE state = 'in_progress' AND background GROUP BY tenant_id
), chosen AS (
    SELECT candidate.id, row_number() OVER (
        ORDER BY (coalesce(running.runs, 0) + candidate.place)::float / coalesce(plan.weight, 1),
            candidate.id
    ) AS rank
    FROM waiting
    JOIN tenants_tenant tenant ON tenant.id = waiting.tenant_id
    LEFT JOIN tenants_plan plan ON plan.id = tenant.plan_id
    LEFT JOIN running ON running.tenant_id = waiting.tenant_id
    CROSS JOIN LATERAL (
        SELECT first.id, row_number() OVER () AS place
        FROM (
            SELECT run.id FROM agents_run run
            WHERE run.tenant_id = waiting.tenant_id AND run.state = 'queued' AND run.worker = ''
                AND (run.deadline IS NULL OR run.deadline > statement_timestamp())
                AND NOT run.tenant_id || '/' || run.agent = ANY(%(excluded)s)
                AND NOT EXISTS (
                    SELECT FROM agents_run other
                    WHERE other.conversation_id = run.conversation_id AND (
                        other.state IN ('in_progress', 'requires_approval')
                        OR other.state = 'queued' AND other.id < run.id
                    )
                )
            ORDER BY run.priority DESC, run.id LIMIT %(candidates)s
        ) first
    ) candidate
    ORDER BY rank LIMIT %(candidates)s
), locked AS (
    SELECT run.id FROM chosen JOIN agents_run run ON run.id = chosen.id
    WHERE run.state = 'queued' AND run.worker = ''
    ORDER BY chosen.rank LIMIT %(limit)s
    FOR UPDATE OF run SKIP LOCKED
)
UPDATE agents_run run SET
    state = 'in_progress', worker = %(worker)s, attempt = attempt + 1,
    started_at = coalesce(started_at, statement_timestamp()),
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
FROM locked WHERE run.id = locked.id
RETURNING run.public_id, run.tenant_id, run.checkpoint, run.attempt
"""
"""Claims runs in the order of fairness: first of the tenant with the fewest running background runs
per weight of its plan, and of one tenant by priority, then by age. The tenants are read by steps
through the index, so that a tenant with a million queued runs costs as much as one with a single
run. A row that another node claims at the same moment is skipped, and the next candidate taken.
"""


def claim_queued(*, worker: str, limit: int, excluded: Sequence[str]) -> Sequence[ClaimedRun]:
    """Claim up to `limit` queued runs for `worker`.

    `excluded` are the agents, as `<tenant id>/<slug>`, that this node may not execute.
    """
    facts = {
        "worker": worker,
        "limit": limit,
        "candidates": limit * CANDIDATES_PER_SLOT,
        "excluded": list(excluded),
        "lease": LEASE_SECONDS,
    }
    try:
        rows = execute(Statement(CLAIM_RUNS, facts))
    except IntegrityError:
        # A run of the same conversation has started at the same moment: nothing was claimed.
        return ()
    return [
        ClaimedRun(id=run_id, tenant_id=tenant_id, checkpoint=checkpoint, attempt=attempt)
        for run_id, tenant_id, checkpoint, attempt in rows
    ]


def requeue_dead_runs() -> int:
    """Queue the background runs again whose worker has not renewed its lease.

    A run that has lost its worker MAX_ATTEMPTS times is left to `fail_dead_runs`.
    """
    with every_tenant():  # a node looks after the runs of all tenants
        dead = resumable_runs().filter(lease_until__lt=Now())
        return int(dead.update(state=RunState.QUEUED, worker="", lease_until=None))


def resumable_runs() -> RunQuerySet:
    """Return the claimed runs that another worker can continue. Needs a tenant scope."""
    claimed = Q(state=RunState.IN_PROGRESS) | Q(state=RunState.QUEUED) & ~Q(worker="")
    rows = Run.objects.filter(claimed, background=True, store=True, cancel_requested_at=None)
    return rows.filter(attempt__lt=MAX_ATTEMPTS).exclude(checkpoint="")


def fail_unresumable_runs(*, now: datetime) -> list[RunRecord]:
    """End the runs whose worker died and that no agent node can continue. Returns those that this
    call ended.

    The others are left to the nodes, which know whether they could reach PostgreSQL all the time: a
    job that runs first after an outage would take their runs from workers that live.
    """
    with every_tenant():  # a periodic task for all tenants
        rows = Run.objects.exclude(pk__in=resumable_runs().values("pk"))
        return fail_runs(rows, now=now)


def release_run(run_id: str, worker: str) -> bool:
    """Return a run to the queue. False if `worker` does not hold it, or nobody can continue it."""
    with every_tenant():  # by its id, which this worker has claimed
        rows = resumable_runs().filter(public_id=run_id, worker=worker)
        return rows.update(state=RunState.QUEUED, worker="", lease_until=None) == 1


def expire_queued() -> Sequence[RunRecord]:
    """End the queued runs whose deadline has passed. Returns those that this call ended."""
    with every_tenant():
        late = Run.objects.filter(IN_QUEUE, deadline__lt=Now()).order_by("deadline")
        ended = []
        for run_id in late.values_list("public_id", flat=True)[:MAX_RUNS_PER_EXPIRY]:
            rows = Run.objects.filter(IN_QUEUE, public_id=run_id, deadline__lt=Now())
            if rows.update(
                state=RunState.INCOMPLETE,
                incomplete_reason=QUEUE_EXPIRED,
                ended_at=Now(),
                checkpoint="",
            ):
                ended.append(run_record_of(find_run(run_id)))
        return ended
