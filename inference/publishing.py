"""The fleet as gateways see it, read from the tables."""

from inference.fleet.snapshot import Endpoint, Fleet, Pool, Route
from inference.models import ModelEndpoint, ModelPool, ModelRoute


def load_fleet() -> Fleet:
    """Every enabled route with its pool and the endpoints that have not expired."""
    pools = {pool.pk: as_pool(pool) for pool in ModelPool.objects.prefetch_related("endpoints")}
    routes = ModelRoute.objects.filter(enabled=True, pool_id__in=pools)
    return Fleet(
        routes={
            route.name: Route(
                name=route.name,
                purpose=route.purpose,
                context_length=route.context_length,
                pool=pools[route.pool_id],
                created=int(route.created_at.timestamp()),
            )
            for route in routes
        }
    )


def as_pool(pool: ModelPool) -> Pool:
    alive = (e for e in pool.endpoints.all() if e.state != ModelEndpoint.State.EXPIRED)
    return Pool(
        name=pool.name,
        engine=pool.engine,
        connect_timeout=pool.connect_timeout,
        first_token_timeout=pool.first_token_timeout,
        token_timeout=pool.token_timeout,
        endpoints=tuple(as_endpoint(endpoint) for endpoint in alive),
    )


def as_endpoint(endpoint: ModelEndpoint) -> Endpoint:
    return Endpoint(
        id=endpoint.public_id,
        address=endpoint.address,
        model=endpoint.model,
        credential=endpoint.credential,
        ready=endpoint.state == ModelEndpoint.State.READY,
        max_concurrency=endpoint.max_concurrency,
    )
