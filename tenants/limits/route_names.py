"""Which routes a limit can be for. Routes belong to another context, which this one never imports:
the settings name the function that knows them.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.module_loading import import_string


def route_names() -> list[str]:
    """The names of all routes, in order."""
    names: list[str] = import_string(settings.ROUTE_NAMES)()
    return names


def check_route(name: str, *, known: str = "") -> None:
    """Raises ValidationError for a route that does not exist and is not the `known` one.

    A limit for a route that was deleted can still be changed.
    """
    if name and name != known and name not in route_names():
        sentence = f"There is no route {name!r}. Choose one that exists, or all routes."
        raise ValidationError({"route": sentence})
