"""Names of the routes that a limit can select.

Routes belong to a context that this one does not import: the setting ROUTE_NAMES is the dotted path
of a function that lists them.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.module_loading import import_string


def route_names() -> list[str]:
    """Return the names of all routes, sorted."""
    names: list[str] = import_string(settings.ROUTE_NAMES)()
    return names


def check_route(name: str, *, known: str = "") -> None:
    """Raise ValidationError for a route that does not exist.

    `known` is accepted even if it was deleted, so that its limits can still be changed.
    """
    if name and name != known and name not in route_names():
        sentence = f"Route {name!r} does not exist. Choose an existing route, or all routes."
        raise ValidationError({"route": sentence})
