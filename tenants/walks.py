"""How timed jobs reach every tenant: one after the other, for a bounded time.

A task for each tenant would fill the queue with thousands, which other work waits behind and which
expire before anybody takes them. A walk looks at those first that were not looked at for longest;
whoever is left is first the next time.
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
    """How far a walk came."""

    looked_at: int
    failed: int
    left: int
    """Tenants that were not reached in time."""


def walk_tenants(
    job: str, tenant_ids: Iterable[int], look: Callable[[int], object], *, max_seconds: float
) -> Walk:
    """Call `look` for each tenant, those first that `job` has not looked at for longest.

    Begins no further tenant after `max_seconds`. A failure is logged and counted, and the walk
    goes on with the next tenant.
    """
    waiting = in_order(job, tenant_ids)
    ends = time.monotonic() + max_seconds
    done = failed = 0
    for tenant_id in waiting:
        if time.monotonic() >= ends:
            break
        # Before the look: a tenant that ends the process is not the first of the next walk.
        note_look(job, tenant_id)
        done += 1
        try:
            look(tenant_id)
        except Exception:
            failed += 1
            log.exception("%s: tenant failed (tenant_id=%d)", job, tenant_id)
    walk = Walk(looked_at=done, failed=failed, left=len(waiting) - done)
    report(job, walk)
    return walk


def in_order(job: str, tenant_ids: Iterable[int]) -> list[int]:
    """Tenants never looked at, then those looked at longest ago."""
    with every_tenant():
        looks = dict(TenantLook.objects.filter(job=job).values_list("tenant_id", "looked_at"))
    ever = {tenant_id: looks[tenant_id].timestamp() for tenant_id in looks}
    return sorted(set(tenant_ids), key=lambda tenant_id: (ever.get(tenant_id, 0.0), tenant_id))


def note_look(job: str, tenant_id: int) -> None:
    with every_tenant():
        TenantLook.objects.bulk_create(
            [TenantLook(job=job, tenant_id=tenant_id, looked_at=timezone.now())],
            update_conflicts=True,
            unique_fields=["job", "tenant"],
            update_fields=["looked_at"],
        )


def report(job: str, walk: Walk) -> None:
    if walk.left:
        log.warning("%s: tenants left for the next time (left=%d)", job, walk.left)
        add_count(metrics.tenants_left, job, walk.left)
    if walk.failed:
        add_count(metrics.tenants_failed, job, walk.failed)
