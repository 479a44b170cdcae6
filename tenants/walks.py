"""Walks of periodic jobs over all tenants, one after the other, for a limited time.

One task per tenant would fill the queue with thousands of tasks, which delay other work and expire
before a worker takes them. A walk visits the least recently visited tenants first, so that the next
walk begins with those that it did not reach.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils import timezone

from kernel import metrics
from kernel.storage.stored_counts import add_count
from tenants.models import TenantLook
from tenants.scoping import every_tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The result of a walk."""

    visited: int
    failed: int
    left: int
    """Number of tenants that were not reached in time."""


def walk_tenants(
    job: str, tenant_ids: Iterable[int], visit: Callable[[int], object], *, max_seconds: float
) -> Walk:
    """Call `visit` for each tenant, the least recently visited by `job` first.

    Visits no further tenant after `max_seconds`. A failure is logged and counted, and the walk
    continues with the next tenant.
    """
    waiting = in_order(job, tenant_ids)
    ends = time.monotonic() + max_seconds
    done = failed = 0
    for tenant_id in waiting:
        if time.monotonic() >= ends:
            break
        # Before the visit, so that a tenant that crashes the process is last in the next walk.
        record_visit(job, tenant_id)
        done += 1
        try:
            visit(tenant_id)
        except Exception:
            failed += 1
            log.exception("%s: tenant failed (tenant_id=%d)", job, tenant_id)
    walk = Walk(visited=done, failed=failed, left=len(waiting) - done)
    report(job, walk)
    return walk


def in_order(job: str, tenant_ids: Iterable[int]) -> list[int]:
    """Return the tenants never visited, then the others, the least recently visited first."""
    with every_tenant():
        visits = dict(TenantLook.objects.filter(job=job).values_list("tenant_id", "looked_at"))
    ever = {tenant_id: visits[tenant_id].timestamp() for tenant_id in visits}
    return sorted(set(tenant_ids), key=lambda tenant_id: (ever.get(tenant_id, 0.0), tenant_id))


def record_visit(job: str, tenant_id: int) -> None:
    with every_tenant():
        TenantLook.objects.bulk_create(
            [TenantLook(job=job, tenant_id=tenant_id, looked_at=timezone.now())],
            update_conflicts=True,
            unique_fields=["job", "tenant"],
            update_fields=["looked_at"],
        )


def report(job: str, walk: Walk) -> None:
    if walk.left:
        log.warning("%s: tenants not reached in time (left=%d)", job, walk.left)
        add_count(metrics.tenants_left, job, walk.left)
    if walk.failed:
        add_count(metrics.tenants_failed, job, walk.failed)
