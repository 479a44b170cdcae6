"""What an operator wants of an endpoint's breaker, whatever it would do by itself."""

from django.db import transaction

from inference.models import ModelEndpoint
from inference.topics import FLEET
from kernel.audit import note_transition
from kernel.errors import InvalidParameter
from kernel.publishing.publish import publish

AUTOMATIC, OPEN, CLOSED = "", "open", "closed"
WORDS = {AUTOMATIC: "automatic", OPEN: "forced open", CLOSED: "forced closed"}


@transaction.atomic
def force_breaker(*, endpoint: ModelEndpoint, breaker: str, reason: str = "") -> bool:
    """Leave an endpoint out (`open`), use it whatever happens (`closed`), or neither (empty).

    The reason goes into the audit log, and only going back to automatic needs none. Gateways
    follow within a second. False if it was so already. Raises InvalidParameter.
    """
    if breaker not in WORDS:
        raise InvalidParameter("A breaker is forced open, closed, or neither.", param="breaker")
    if breaker and not reason.strip():
        raise InvalidParameter("Say why: it is kept in the audit log.", param="reason")
    before = ModelEndpoint.objects.select_for_update().values_list("forced", flat=True)
    was = before.get(pk=endpoint.pk)
    if was == breaker:
        return False
    ModelEndpoint.objects.filter(pk=endpoint.pk).update(forced=breaker)
    note_transition(
        endpoint, field="breaker", before=WORDS[was], after=WORDS[breaker], reason=reason.strip()
    )
    publish(FLEET)
    return True
