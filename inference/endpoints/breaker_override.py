"""Manual override of an endpoint's circuit breaker."""

from django.db import transaction

from inference.models import ModelEndpoint
from inference.topics import FLEET
from kernel.audit import note_transition
from kernel.errors import InvalidParameter
from kernel.publishing.publish import publish

AUTOMATIC, OPEN, CLOSED = "", "open", "closed"
LABELS = {AUTOMATIC: "automatic", OPEN: "forced open", CLOSED: "forced closed"}


@transaction.atomic
def force_breaker(*, endpoint: ModelEndpoint, breaker: str, reason: str = "") -> bool:
    """Force a breaker `open` (no requests), `closed` (requests in any case), or reset it (empty).

    The reason goes into the audit log; only a reset needs none. Gateways follow within a second.
    Return False if nothing changed. Raises InvalidParameter.
    """
    if breaker not in LABELS:
        raise InvalidParameter(
            "A breaker is `open`, `closed` or empty (automatic).", param="breaker"
        )
    if breaker and not reason.strip():
        raise InvalidParameter(
            "A reason is required. It is stored in the audit log.", param="reason"
        )
    before = ModelEndpoint.objects.select_for_update().values_list("breaker_override", flat=True)
    was = before.get(pk=endpoint.pk)
    if was == breaker:
        return False
    ModelEndpoint.objects.filter(pk=endpoint.pk).update(breaker_override=breaker)
    note_transition(
        endpoint, field="breaker", before=LABELS[was], after=LABELS[breaker], reason=reason.strip()
    )
    publish(FLEET)
    return True
