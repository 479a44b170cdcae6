"""The periodic work on messages: ends of runs are recorded, due deliveries attempted, old messages
deleted. Safe to run concurrently.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from agents.messages.delivery import attempt_delivery, note_failure
from agents.models import AgentMessage, Delivery
from agents.models.choices import TERMINAL, RunState
from agents.models.message import DeliveryState
from tenants.scoping import every_tenant, tenant_scope

MAX_DELIVERIES_PER_TASK = 500
MAX_DELETED_PER_BATCH = 2000
RETENTION = timedelta(days=30)
UNKNOWN_ERROR = {"code": "internal_error", "message": "The run failed."}


def settle_ended(*, now: datetime) -> int:
    """Record the ends of the runs of deliveries. Returns how many were recorded.

    A run that failed is tried again, if its error may be gone by then.
    """
    with every_tenant():  # a periodic task for all tenants
        found = list(ended().values_list("tenant_id", "pk")[:MAX_DELIVERIES_PER_TASK])
    return sum(settle(tenant_id, pk, now=now) for tenant_id, pk in found)


def ended() -> "QuerySet[Delivery]":
    """Return the deliveries whose run has ended, or was deleted. Needs a tenant scope."""
    over = Q(run=None) | Q(run__state__in=TERMINAL)
    return Delivery.objects.filter(over, state=DeliveryState.DELIVERED).order_by("pk")


@transaction.atomic
def settle(tenant_id: int, pk: int, *, now: datetime) -> bool:
    """Record the end of the run of one delivery. False if another process does."""
    with tenant_scope(tenant_id):
        rows = ended().filter(pk=pk).select_for_update(skip_locked=True, of=("self",))
        row = rows.select_related("run").first()
        if row is None:
            return False
        if row.run is not None and row.run.state == RunState.FAILED:
            error = row.run.error or UNKNOWN_ERROR
            note_failure(row, code=error["code"], message=error["message"], now=now)
            if row.state == DeliveryState.PENDING:
                row.run = None
        else:
            row.state, row.ended_at = DeliveryState.COMPLETED, now
        row.save()
        return True


def attempt_due(*, now: datetime, max_queued: int) -> int:
    """Attempt the deliveries that are due. Returns how many runs were started."""
    with every_tenant():  # a periodic task for all tenants
        due = Delivery.objects.filter(state=DeliveryState.PENDING, next_attempt_at__lte=now)
        rows = due.order_by("next_attempt_at").values_list("tenant_id", "pk")
        found = list(rows[:MAX_DELIVERIES_PER_TASK])
    return sum(
        attempt_delivery(tenant_id, pk, now=now, max_queued=max_queued) for tenant_id, pk in found
    )


def delete_old_messages(*, now: datetime) -> int:
    """Delete the messages that are older than RETENTION, with their deliveries. The runs remain."""
    with every_tenant():  # a periodic task for all tenants
        old = AgentMessage.objects.filter(created_at__lt=now - RETENTION)
        count = 0
        while found := list(
            old.order_by("pk").values_list("pk", flat=True)[:MAX_DELETED_PER_BATCH]
        ):
            AgentMessage.objects.filter(pk__in=found).delete()
            count += len(found)
        return count
