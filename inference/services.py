"""Services that change routes and pools. Only they write these tables."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from inference.errors import NameTaken
from inference.models import ModelPool, ModelRoute
from inference.route_targets import WantedTarget, ensure_targets, store_targets, stored_targets
from inference.topics import FLEET
from kernel.publishing.publish import publish


def create_pool(*, name: str, engine: str, **settings: Any) -> ModelPool:
    """Create a pool. `settings` are further fields: timeouts, strategy, queue, probes, ejection.

    Raises NameTaken, and ValidationError for values that no form would accept.
    """
    pool = ModelPool(name=name, engine=engine, **settings)
    try:
        with transaction.atomic():
            save_pool(pool=pool)
    except IntegrityError as error:
        raise NameTaken(f"There is a pool {name!r} already. Choose another name.") from error
    return pool


@transaction.atomic
def save_pool(*, pool: ModelPool) -> None:
    """Save a pool, whose name must be unchanged, and publish it to the gateways.

    Raises ValidationError.
    """
    pool.full_clean(validate_unique=False)
    ensure_name_stays(pool)
    pool.save()
    publish(FLEET)


@transaction.atomic
def delete_pool(*, pool: ModelPool) -> None:
    """Delete a pool and its endpoints. Raises ProtectedError while a route uses it."""
    pool.delete()
    publish(FLEET)


def create_route(
    *,
    name: str,
    pool: ModelPool,
    purpose: str = ModelRoute.Purpose.CHAT,
    targets: Sequence[WantedTarget] = (),
    **settings: Any,
) -> ModelRoute:
    """Create a route. `settings` are further fields: context length, weight, prices, enabled.

    Raises NameTaken, ValidationError for values that no form would accept, and what
    `ensure_targets` raises.
    """
    route = ModelRoute(name=name, pool=pool, purpose=purpose, **settings)
    try:
        with transaction.atomic():
            save_route(route=route, targets=targets)
    except IntegrityError as error:
        raise NameTaken(f"There is a route {name!r} already. Choose another name.") from error
    return route


@transaction.atomic
def save_route(*, route: ModelRoute, targets: Sequence[WantedTarget] | None = None) -> None:
    """Save a route, whose name must be unchanged, and publish it to the gateways. `targets`
    replace the stored ones; None keeps them.

    Raises ValidationError, TargetNotAllowed and ModelMismatch.
    """
    route.full_clean(validate_unique=False)
    ensure_name_stays(route)
    wanted = stored_targets(route) if targets is None else targets
    ensure_targets(route=route, targets=wanted)
    route.save()
    if targets is not None:
        store_targets(route=route, targets=targets)
    publish(FLEET)


def ensure_name_stays(row: ModelRoute | ModelPool) -> None:
    """Raise ValidationError for a changed name: limits, keys and the ledger refer to it."""
    names = list(type(row).objects.filter(pk=row.pk).values_list("name", flat=True))
    if names not in ([], [row.name]):
        raise ValidationError({"name": "This name cannot be changed. Create another one instead."})


@transaction.atomic
def delete_route(*, route: ModelRoute) -> None:
    """Delete a route. Raises ProtectedError while an agent uses it."""
    route.delete()
    publish(FLEET)
