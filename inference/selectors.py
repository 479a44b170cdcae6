"""What others read of the fleet's tables."""

from django.db.models import Q

from inference.models import ModelPool, ModelRoute


def route_names() -> list[str]:
    """The names of all routes, enabled or not, in order."""
    return list(ModelRoute.objects.order_by("name").values_list("name", flat=True))


def route_names_of(pool: ModelPool) -> set[str]:
    """The names of the routes that send requests to a pool, be it as their own or as a target."""
    leads_here = Q(pool=pool) | Q(targets__pool=pool)
    return set(ModelRoute.objects.filter(leads_here).values_list("name", flat=True))
