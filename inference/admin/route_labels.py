"""Labels of the routes of each pool."""

from collections.abc import Iterable, Iterator, Mapping

from inference.models import ModelRoute, RouteTarget
from inference.route_targets import parts_of

SHARE = RouteTarget.Role.SHARE


def routes_by_pool() -> Mapping[int, tuple[str, ...]]:
    """Return labels such as `smollm2 (30 %)` and `qwen (fallback)` by pool, in two queries."""
    found: dict[int, list[str]] = {}
    for route in ModelRoute.objects.prefetch_related("targets"):
        for pool_id, label in pools_of(route, route.targets.all()):
            found.setdefault(pool_id, []).append(label)
    return {pool_id: tuple(labels) for pool_id, labels in found.items()}


def pools_of(route: ModelRoute, targets: Iterable[RouteTarget]) -> Iterator[tuple[int, str]]:
    """Yield every pool of a route with the route's label for it."""
    shares = [target for target in targets if target.role == SHARE]
    own, *parts = parts_of(own=route.pool_weight, shares=[target.weight for target in shares])
    name = route.name if route.enabled else f"{route.name} (disabled)"
    yield route.pool_id, f"{name} ({own} %)" if shares else name
    for target, part in zip(shares, parts, strict=True):
        yield target.pool_id, f"{name} ({part} %)"
    for target in targets:
        if target.role != SHARE:
            yield target.pool_id, f"{name} (fallback)"
