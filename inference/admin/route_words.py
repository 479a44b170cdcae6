"""Which routes lead to which pool, in words."""

from collections.abc import Iterable, Iterator, Mapping

from inference.models import ModelRoute, RouteTarget
from inference.route_targets import parts_of

SHARE = RouteTarget.Role.SHARE


def routes_by_pool() -> Mapping[int, tuple[str, ...]]:
    """`smollm2`, `smollm2 (30 %)`, `qwen (fallback)` by pool, in two queries."""
    found: dict[int, list[str]] = {}
    for route in ModelRoute.objects.prefetch_related("targets"):
        for pool_id, words in pools_of(route, route.targets.all()):
            found.setdefault(pool_id, []).append(words)
    return {pool_id: tuple(words) for pool_id, words in found.items()}


def pools_of(route: ModelRoute, targets: Iterable[RouteTarget]) -> Iterator[tuple[int, str]]:
    """Every pool of a route with what it is to the route."""
    shares = [target for target in targets if target.role == SHARE]
    own, *parts = parts_of(own=route.pool_weight, shares=[target.weight for target in shares])
    name = route.name if route.enabled else f"{route.name} (disabled)"
    yield route.pool_id, f"{name} ({own} %)" if shares else name
    for target, part in zip(shares, parts, strict=True):
        yield target.pool_id, f"{name} ({part} %)"
    for target in targets:
        if target.role != SHARE:
            yield target.pool_id, f"{name} (fallback)"
