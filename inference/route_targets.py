"""The further pools of a route: which may be there, and how they are stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.errors import ModelMismatch, TargetNotAllowed
from inference.models import ModelEndpoint, ModelPool, ModelRoute, RouteTarget

MAX_WEIGHT = 1000
MAX_ORDER = 32_767
SHARE = RouteTarget.Role.SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A further pool as somebody wants it."""

    pool: ModelPool
    role: str = RouteTarget.Role.FALLBACK
    weight: int = 1
    """Of a share, from 1 to 1000, beside the route's `pool_weight`."""
    order: int = 0
    """Of a fallback: the lowest is tried first."""


def stored_targets(route: ModelRoute) -> tuple[Target, ...]:
    """As they are in the table; none for a route that is not stored yet."""
    rows = route.targets.select_related("pool") if route.pk else ()
    return tuple(
        Target(pool=row.pool, role=row.role, weight=row.weight, order=row.order) for row in rows
    )


def ensure_targets(*, route: ModelRoute, targets: Sequence[Target]) -> None:
    """Raises TargetNotAllowed or ModelMismatch with a sentence about the first that does not fit.

    Two queries at most, and none for a route without targets.
    """
    if not targets:
        return
    seen: set[int] = set()
    for target in targets:
        ensure_fits(route, target, seen=seen)
        seen.add(target.pool.pk)
    ensure_same_purpose(route, targets)
    ensure_same_model(route, [target for target in targets if target.role == SHARE])


def ensure_fits(route: ModelRoute, target: Target, *, seen: set[int]) -> None:
    """What can be told of a target by itself."""
    name = target.pool.name
    if target.role not in RouteTarget.Role.values:
        raise TargetNotAllowed(f"{target.role!r} is no role: choose share or fallback.")
    if target.pool.pk == route.pool_id:
        raise TargetNotAllowed(
            f"{name} is the route's own pool, whose part is the weight of its own pool."
            if target.role == SHARE
            else f"The fallback {name} is the route's own pool: requests would go round in a "
            "circle. Choose another pool."
        )
    if target.pool.pk in seen:
        raise TargetNotAllowed(f"The pool {name} is there twice. Remove one of the two.")
    if not 1 <= target.weight <= MAX_WEIGHT:
        raise TargetNotAllowed(
            f"The weight of {name} lies between 1 and {MAX_WEIGHT:,}. "
            "A pool that is to get nothing is removed."
        )
    if not 0 <= target.order <= MAX_ORDER:
        raise TargetNotAllowed(f"The order of {name} lies between 0 and {MAX_ORDER:,}.")


def ensure_same_purpose(route: ModelRoute, targets: Iterable[Target]) -> None:
    """A pool whose own routes are all for something else cannot answer this one's requests."""
    purposes: dict[int, set[str]] = {}
    others = ModelRoute.objects.filter(pool__in=[target.pool.pk for target in targets])
    for pool_id, purpose in others.exclude(pk=route.pk).values_list("pool_id", "purpose"):
        purposes.setdefault(pool_id, set()).add(purpose)
    for target in targets:
        served = purposes.get(target.pool.pk)
        if served and route.purpose not in served:
            raise TargetNotAllowed(
                f"The pool {target.pool.name} serves {', '.join(sorted(served))}, "
                f"and this route is for {route.purpose}."
            )


def ensure_same_model(route: ModelRoute, shares: Sequence[Target]) -> None:
    """Whoever asks for a model gets it from each pool that shares the requests.

    Only engines that registered are held to that: what the others call the model is their affair.
    """
    if not shares:
        return
    models: dict[int, set[str]] = {}
    pools = [route.pool_id, *(target.pool.pk for target in shares)]
    engines = ModelEndpoint.objects.filter(pool__in=pools, registered=True)
    for pool_id, model in engines.values_list("pool_id", "model"):
        models.setdefault(pool_id, set()).add(model)
    own = {route.name} | models.get(route.pool_id, set())
    for target in shares:
        served = models.get(target.pool.pk)
        if served and not served & own:
            raise ModelMismatch(
                f"The engines of {target.pool.name} serve {', '.join(sorted(served))}, not "
                f"{route.name}. Make the pool a fallback if another model may step in."
            )


def store_targets(*, route: ModelRoute, targets: Sequence[Target]) -> None:
    """Make the table say `targets`, row by row, so that the audit log tells what changed."""
    wanted = {target.pool.pk: target for target in targets}
    for row in route.targets.all():
        target = wanted.pop(row.pool_id, None)
        if target is None:
            row.delete()
        elif (row.role, row.weight, row.order) != (target.role, target.weight, target.order):
            row.role, row.weight, row.order = target.role, target.weight, target.order
            row.save()
    for target in wanted.values():
        RouteTarget.objects.create(
            route=route,
            pool=target.pool,
            role=target.role,
            weight=target.weight,
            order=target.order,
        )


def parts_of(*, own: int, shares: Sequence[int]) -> tuple[int, ...]:
    """Weights in whole per cent that add up to 100, the own pool's first. Weights are above 0."""
    weights = (own, *shares)
    total = sum(weights)
    exact = [100 * weight / total for weight in weights]
    floors = [int(part) for part in exact]
    # What rounding down took goes to those that it took most from.
    by_loss = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for place in by_loss[: 100 - sum(floors)]:
        floors[place] += 1
    return tuple(floors)
