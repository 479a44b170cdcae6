"""What others read of the fleet's tables."""

from inference.models import ModelRoute


def route_names() -> list[str]:
    """The names of all routes, enabled or not, in order."""
    return list(ModelRoute.objects.order_by("name").values_list("name", flat=True))
