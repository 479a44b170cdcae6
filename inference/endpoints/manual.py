"""Static endpoints, entered and changed by operators. `registration` has the others."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from inference.addresses import normalised_address
from inference.errors import AddressNotAllowed, NameTaken
from inference.models import ModelEndpoint, ModelPool
from inference.models.endpoint import MAX_ADDRESS_CHARS
from inference.monitoring.load_history import delete_load
from inference.topics import FLEET
from kernel.publishing.publish import publish

ENDPOINT_FIELDS = (
    *("pool", "address", "model", "max_concurrency"),
    *("weight", "zone", "capabilities"),
)
"""Fields that a form changes. Not the state: a form opened before a drain must not undo it."""


@transaction.atomic
def add_static_endpoint(
    *,
    pool: ModelPool,
    address: str,
    model: str,
    credential: str = "",
    **facts: Any,
) -> ModelEndpoint:
    """Add a static endpoint. `facts` are max_concurrency, weight, zone and capabilities.

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
    """Save an endpoint and publish the change to the gateways.

    A deferred credential is kept. Raises AddressNotAllowed, NameTaken, and
    ValidationError for values that no form would accept.
    """
    endpoint.address = normalised_address(
        endpoint.address, allow_loopback=settings.LOOPBACK_ENDPOINTS
    )
    ensure_valid(endpoint)
    unloaded = {"credential"} & endpoint.get_deferred_fields()
    store_once(endpoint, update_fields=(*ENDPOINT_FIELDS, *({"credential"} - unloaded)))
    publish(FLEET)


def ensure_valid(endpoint: ModelEndpoint) -> None:
    """Raise ValidationError for invalid fields. The address is checked separately, and the
    credential may be deferred.
    """
    endpoint.capabilities = sorted({text.strip().lower() for text in endpoint.capabilities} - {""})
    endpoint.clean_fields(exclude={"address", "credential", "pool", "public_id"})
    if len(endpoint.address) > MAX_ADDRESS_CHARS:
        raise AddressNotAllowed(f"An address has at most {MAX_ADDRESS_CHARS} characters.")


def store_once(endpoint: ModelEndpoint, *, update_fields: Iterable[str] | None = None) -> None:
    """Save an endpoint in a savepoint. Raises NameTaken if its address exists in the pool."""
    try:
        with transaction.atomic():
            endpoint.save(update_fields=update_fields)
    except IntegrityError as error:
        raise NameTaken("This pool has an endpoint at that address already.") from error


@transaction.atomic
def delete_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Delete an endpoint at once. Drain it first to let running requests finish."""
    public_id = endpoint.public_id
    endpoint.delete()
    transaction.on_commit(lambda: delete_load(public_id=public_id))
    publish(FLEET)
