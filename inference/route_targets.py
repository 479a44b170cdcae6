"""Validation and storage of the further pools of a route."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.errors import ModelMismatch, TargetNotAllowed
from inference.models import ModelEndpoint, ModelPool, ModelRoute, RouteTarget

MAX_WEIGHT = 1000
MAX_ORDER = 32_767
SHARE = RouteTarget.Role.SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTarget:
    """A requested further pool of a route."""

    pool: ModelPool
    role: str = RouteTarget.Role.FALLBACK
    weight: int = 1
    """Weight of a share, 1 to 1000, relative to the route's `pool_weight`."""
    order: int = 0
    """Order of a fallback; the lowest is tried first."""


def stored_targets(route: ModelRoute) -> tuple[WantedTarget, ...]:
    """Return the targets in the database; none for a route that is not saved yet."""
    rows = route.targets.select_related("pool") if route.pk else ()
    return tuple(
        WantedTarget(pool=row.pool, role=row.role, weight=row.weight, order=row.order)
        for row in rows
    )


def ensure_targets(*, route: ModelRoute, targets: Sequence[WantedTarget]) -> None:
    """Raise TargetNotAllowed or ModelMismatch for the first invalid target.

    At most two queries; none for a route without targets.
    """
    if not targets:
        return
    seen: set[int] = set()
    for target in targets:
        ensure_fits(route, target, seen=seen)
        seen.add(target.pool.pk)
    ensure_same_purpose(route, targets)
    ensure_same_model(route, [target for target in targets if target.role == SHARE])


def ensure_fits(route: ModelRoute, target: WantedTarget, *, seen: set[int]) -> None:
    """Raise TargetNotAllowed for what can be checked without a query."""
    name = target.pool.name
    if target.role not in RouteTarget.Role.values:
        raise TargetNotAllowed(f"{target.role!r} is not a role. Choose share or fallback.")
    if target.pool.pk == route.pool_id:
        raise TargetNotAllowed(
            f"{name} is the route's own pool, whose share is set by its own weight."
            if target.role == SHARE
            else f"The fallback {name} is the route's own pool. Choose another pool."
        )
    if target.pool.pk in seen:
        raise TargetNotAllowed(f"The pool {name} is listed twice. Remove one of the two.")
    if not 1 <= target.weight <= MAX_WEIGHT:
        raise TargetNotAllowed(
            f"The weight of {name} must be between 1 and {MAX_WEIGHT:,}. "
            "Remove a pool that is to get no requests."
        )
    if not 0 <= target.order <= MAX_ORDER:
        raise TargetNotAllowed(f"The order of {name} must be between 0 and {MAX_ORDER:,}.")


def ensure_same_purpose(route: ModelRoute, targets: Iterable[WantedTarget]) -> None:
    """Raise TargetNotAllowed for a pool whose other routes all have another purpose."""
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


def ensure_same_model(route: ModelRoute, shares: Sequence[WantedTarget]) -> None:
    """Raise ModelMismatch for a share whose engines serve another model than the route.

    Only registered engines are checked: static endpoints may have any name for the model.
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
                f"{route.name}. Make the pool a fallback to allow another model."
            )


def store_targets(*, route: ModelRoute, targets: Sequence[WantedTarget]) -> None:
    """Save `targets` row by row, so that the audit log records each change."""
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
    """Return the weights as integer percentages that add up to 100, the own pool's first."""
    weights = (own, *shares)
    total = sum(weights)
    exact = [100 * weight / total for weight in weights]
    floors = [int(part) for part in exact]
    # The remainders of rounding down go to the largest losses.
    by_loss = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for place in by_loss[: 100 - sum(floors)]:
        floors[place] += 1
    return tuple(floors)
