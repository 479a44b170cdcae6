"""Everything that changes routes and pools. Edges call these; nothing else writes."""

from django.db import IntegrityError, transaction

from inference.errors import NameTaken
from inference.models import ModelPool, ModelRoute
from kernel.publishing import publish

FLEET = "fleet"
"""The topic under which gateways learn of routes, pools and endpoints."""


def create_pool(*, name: str, engine: str, **timeouts: float) -> ModelPool:
    """`timeouts` are connect_timeout, first_token_timeout and token_timeout, in seconds.

    Raises NameTaken, and ValidationError for values that no form would accept.
    """
    pool = ModelPool(name=name, engine=engine, **timeouts)
    try:
        save_pool(pool=pool)
    except IntegrityError as error:
        raise NameTaken(f"There is a pool {name!r} already. Choose another name.") from error
    return pool


@transaction.atomic
def save_pool(*, pool: ModelPool) -> None:
    """Store a pool and tell the gateways. Raises ValidationError for what no form would accept."""
    pool.full_clean(validate_unique=False)
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
    context_length: int = 8192,
    enabled: bool = True,
    **prices: int,
) -> ModelRoute:
    """`prices` are prompt_price, cached_price and completion_price, as the table stores them.

    Raises NameTaken, and ValidationError for values that no form would accept.
    """
    route = ModelRoute(
        name=name,
        pool=pool,
        purpose=purpose,
        context_length=context_length,
        enabled=enabled,
        **prices,
    )
    route.full_clean(validate_unique=False)
    try:
        save_route(route=route)
    except IntegrityError as error:
        raise NameTaken(f"There is a route {name!r} already. Choose another name.") from error
    return route


@transaction.atomic
def save_route(*, route: ModelRoute) -> None:
    """Store a route and tell the gateways. Raises ValidationError for prices that do not fit."""
    route.clean()
    route.save()
    publish(FLEET)


@transaction.atomic
def delete_route(*, route: ModelRoute) -> None:
    """Delete a route. Raises ProtectedError while an agent uses it."""
    route.delete()
    publish(FLEET)
