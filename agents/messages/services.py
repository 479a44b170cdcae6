"""The services on dead letters, for operators and admins of tenants."""

from django.db import transaction
from django.utils import timezone

from agents.errors import DeliveryNotDead
from agents.models import Delivery
from agents.models.message import DeliveryState
from kernel.audit import note_use
from tenants.scoping import tenant_scope


@transaction.atomic
def replay_delivery(*, delivery: Delivery) -> Delivery:
    """Attempt a dead letter again, with as many attempts as a new one. Audited.

    The periodic task attempts it within seconds. Raises DeliveryNotDead.
    """
    with tenant_scope(delivery.tenant_id):
        rows = Delivery.objects.select_for_update(of=("self",)).select_related("message")
        row: Delivery | None = rows.filter(pk=delivery.pk, state=DeliveryState.DEAD).first()
        if row is None:
            raise DeliveryNotDead
        row.state, row.attempts, row.run, row.ended_at = DeliveryState.PENDING, 0, None, None
        row.replays += 1
        row.next_attempt_at = timezone.now()
        row.save()
        note_use(row, act="replay", detail=row.message.public_id)
        return row
