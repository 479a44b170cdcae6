"""Transitions between the states of an endpoint."""

from django.db import transaction

from inference.models import ModelEndpoint
from inference.topics import FLEET
from kernel.audit import note_transition
from kernel.publishing.publish import publish

State = ModelEndpoint.State


def drain_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Send no new requests to an endpoint. Return False unless it was ready or unhealthy."""
    return any(
        move_endpoint(endpoint=endpoint, before=before, after=State.DRAINING)
        for before in (State.READY, State.UNHEALTHY)
    )


def activate_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Send requests to a draining endpoint again. Return False if it was not draining."""
    return move_endpoint(endpoint=endpoint, before=State.DRAINING, after=State.READY)


@transaction.atomic
def move_endpoint(*, endpoint: ModelEndpoint, before: str, after: str) -> bool:
    """Change the state, audit it and publish it to the gateways. Return False if it was not
    `before`.
    """
    moved = ModelEndpoint.objects.move(endpoint_id=endpoint.pk, before=before, after=after)
    if moved:
        note_transition(endpoint, field="state", before=before, after=after)
        publish(FLEET)
    return moved
