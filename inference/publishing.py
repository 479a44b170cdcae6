"""Loads the fleet snapshot of the gateways from the database."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from django.db.models import Prefetch, TextField
from django.db.models.functions import Cast

from inference.fleet.snapshot import Endpoint, Fleet, Pool, Route
from inference.models import ModelEndpoint, ModelPool, ModelRoute, RouteTarget
from kernel.secrets import SecretUnreadable, decrypt
from tenants.admission.limits.price import Price

log = logging.getLogger(__name__)


def load_fleet() -> Fleet:
    """Return every enabled route with its pools and their usable endpoints."""
    alive = ModelEndpoint.objects.exclude(state=ModelEndpoint.State.EXPIRED).defer("credential")
    # Still encrypted: one credential that cannot be decrypted must not fail the whole fleet.
    sealed = alive.annotate(sealed=Cast("credential", TextField()))
    rows = ModelPool.objects.prefetch_related(Prefetch("endpoints", sealed, to_attr="alive"))
    pools = {pool.pk: as_pool(pool) for pool in rows}
    routes = ModelRoute.objects.filter(enabled=True, pool_id__in=pools).prefetch_related("targets")
    return Fleet(
        routes={
            route.name: Route(
                name=route.name,
                purpose=route.purpose,
                context_length=route.context_length,
                pool=pools[route.pool_id],
                pool_weight=route.pool_weight,
                shares=tuple(
                    (pools[target.pool_id], target.weight)
                    for target in route.targets.all()
                    if target.role == RouteTarget.Role.SHARE
                ),
                fallbacks=tuple(
                    pools[target.pool_id]
                    for target in route.targets.all()
                    if target.role == RouteTarget.Role.FALLBACK
                ),
                created=int(route.created_at.timestamp()),
                price=Price(
                    prompt=route.prompt_price,
                    cached=route.cached_price,
                    completion=route.completion_price,
                ),
            )
            for route in routes
        }
    )


COPIED_FIELDS = tuple(field.name for field in fields(Pool) if field.name != "endpoints")
"""Fields that a pool's snapshot copies from its row."""


def as_pool(pool: Any) -> Pool:
    """Return the snapshot of a row that was loaded with its `alive` endpoints."""
    values = {name: getattr(pool, name) for name in COPIED_FIELDS}
    return Pool(**values, endpoints=tuple(usable(pool.alive)))


def usable(endpoints: Iterable[Any]) -> Iterator[Endpoint]:
    """Yield the endpoints whose credential can be decrypted, and log the others."""
    for endpoint in endpoints:
        try:
            yield as_endpoint(endpoint, credential=decrypt(endpoint.sealed))
        except SecretUnreadable as error:
            log.error("fleet: endpoint skipped (endpoint=%s): %s", endpoint.public_id, error)  # noqa: TRY400


def as_endpoint(endpoint: ModelEndpoint, *, credential: str) -> Endpoint:
    return Endpoint(
        id=endpoint.public_id,
        address=endpoint.address,
        model=endpoint.model,
        credential=credential,
        ready=endpoint.state == ModelEndpoint.State.READY,
        max_concurrency=endpoint.max_concurrency,
        weight=endpoint.weight,
        zone=endpoint.zone,
        version=endpoint.engine_version,
        ready_since=endpoint.ready_since.timestamp() if endpoint.ready_since else 0.0,
        breaker_override=endpoint.breaker_override,
    )
