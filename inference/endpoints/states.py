"""What moves an endpoint between its states: operators, probes and departures."""

from django.db import transaction

from inference.models import ModelEndpoint
from inference.topics import FLEET
from kernel.audit import note_transition
from kernel.publishing.publish import publish

State = ModelEndpoint.State


def drain_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give an endpoint no new requests; what runs finishes. False if it was not in use."""
    return any(
        move_endpoint(endpoint=endpoint, before=before, after=State.DRAINING)
        for before in (State.READY, State.UNHEALTHY)
    )


def activate_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give a draining endpoint requests again. False if it was not draining."""
    return move_endpoint(endpoint=endpoint, before=State.DRAINING, after=State.READY)


@transaction.atomic
def move_endpoint(*, endpoint: ModelEndpoint, before: str, after: str) -> bool:
    """Change the state, note it and tell the gateways. False, and none of it, if it was another."""
    moved = ModelEndpoint.objects.move(endpoint_id=endpoint.pk, before=before, after=after)
    if moved:
        note_transition(endpoint, field="state", before=before, after=after)
        publish(FLEET)
    return moved
