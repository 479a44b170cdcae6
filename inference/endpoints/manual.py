"""Endpoints that operators enter and change. Engines that register come by `registry`."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from inference.addresses import MAX_ADDRESS_CHARS, normalised_address
from inference.errors import AddressNotAllowed, NameTaken
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.load_history import forget_load
from inference.topics import FLEET
from kernel.publishing.publish import publish

ENDPOINT_FIELDS = (
    *("pool", "address", "model", "max_concurrency"),
    *("weight", "zone", "capabilities"),
)
"""What a form changes. The state has services of its own: a late form must not undo a drain."""


@transaction.atomic
def add_static_endpoint(
    *,
    pool: ModelPool,
    address: str,
    model: str,
    credential: str = "",
    **facts: Any,
) -> ModelEndpoint:
    """Enter a server by hand. `facts` are max_concurrency, weight, zone and capabilities.

    Raises AddressNotAllowed, NameTaken, and ValidationError for values that no form would accept.
    """
    endpoint = ModelEndpoint(
        pool=pool,
        address=normalised_address(address, allow_loopback=settings.LOOPBACK_ENDPOINTS),
        model=model,
        credential=credential,
        ready_since=timezone.now(),
        **facts,
    )
    ensure_valid(endpoint)
    store_once(endpoint)
    publish(FLEET)
    return endpoint


@transaction.atomic
def save_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Store changed fields of an endpoint and tell the gateways.

    A credential that was not loaded is kept. Raises AddressNotAllowed, NameTaken, and
    ValidationError for values that no form would accept.
    """
    endpoint.address = normalised_address(
        endpoint.address, allow_loopback=settings.LOOPBACK_ENDPOINTS
    )
    ensure_valid(endpoint)
    kept = {"credential"} & endpoint.get_deferred_fields()
    store_once(endpoint, update_fields=(*ENDPOINT_FIELDS, *({"credential"} - kept)))
    publish(FLEET)


def ensure_valid(endpoint: ModelEndpoint) -> None:
    """Raises ValidationError. Addresses have rules of their own, and a credential may be unread."""
    endpoint.capabilities = sorted({text.strip().lower() for text in endpoint.capabilities} - {""})
    endpoint.clean_fields(exclude={"address", "credential", "pool", "public_id"})
    if len(endpoint.address) > MAX_ADDRESS_CHARS:
        raise AddressNotAllowed(f"An address has at most {MAX_ADDRESS_CHARS} characters.")


def store_once(endpoint: ModelEndpoint, *, update_fields: Iterable[str] | None = None) -> None:
    """Raises NameTaken; a transaction around it can go on."""
    try:
        with transaction.atomic():
            endpoint.save(update_fields=update_fields)
    except IntegrityError as error:
        raise NameTaken("This pool has an endpoint at that address already.") from error


@transaction.atomic
def delete_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Take an endpoint out at once. To let it finish what runs, drain it first."""
    public_id = endpoint.public_id
    endpoint.delete()
    transaction.on_commit(lambda: forget_load(public_id=public_id))
    publish(FLEET)
