"""Queries of the fleet's tables for other contexts."""

from django.db.models import Q

from inference.models import ModelPool, ModelRoute


def route_names() -> list[str]:
    """Return the names of all routes, enabled or not, in order."""
    return list(ModelRoute.objects.order_by("name").values_list("name", flat=True))


def route_names_of(pool: ModelPool) -> set[str]:
    """Return the names of the routes that use a pool as their own or as a target."""
    uses_pool = Q(pool=pool) | Q(targets__pool=pool)
    return set(ModelRoute.objects.filter(uses_pool).values_list("name", flat=True))
