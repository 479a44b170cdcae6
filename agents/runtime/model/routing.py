"""Starts the route of an admitted request: its pool, and the facts for the balancer."""

import random

from inference.fleet.snapshot import Endpoint, Pool, Route
from inference.relay.encoding import encode_chat, encode_embeddings
from inference.relay.route_trace import RouteTrace
from inference.relay.schema import ChatRequest, EmbeddingsRequest
from tenants.admission.gate import Admission

MAX_PREFIX_CHARS = 1024


def start_route(
    route: Route, admission: Admission, *, request: ChatRequest | None = None
) -> RouteTrace:
    """Return the route trace of an admitted request; `request` is the one that the engine gets."""
    principal = admission.subject.principal
    pool = pick_pool(route)
    prefix = b""
    if request is not None and pool.strategy == "prefix_affinity":
        prefix = prefix_of(request)
    return RouteTrace(
        pool,
        fallbacks=route.fallbacks,
        affinity_key=f"key:{principal.counted_as}".encode(),
        prefix=prefix,
        tenant_id=principal.tenant_id,
        weight=admission.weight,
        tokens=admission.expected_tokens,
    )


def encode_request(route_trace: RouteTrace, request: ChatRequest, endpoint: Endpoint) -> bytes:
    """Return the body for an endpoint, in the dialect of the current pool's engine."""
    return encode_chat(request, endpoint, engine=route_trace.pool.engine)


def encode_embeddings_request(
    route_trace: RouteTrace, request: EmbeddingsRequest, endpoint: Endpoint
) -> bytes:
    """Return the body of an embeddings request for an endpoint."""
    return encode_embeddings(request, endpoint, engine=route_trace.pool.engine)


def prefix_of(request: ChatRequest) -> bytes:
    """Return the beginning of the prompt: engines cache the computation of prefixes."""
    texts = (message.content for message in request.messages)
    return "".join(text for text in texts if isinstance(text, str))[:MAX_PREFIX_CHARS].encode()


def pick_pool(route: Route) -> Pool:
    """Return one of the pools that share a route, drawn at random by weight."""
    if not route.shares:
        return route.pool
    pools = [route.pool, *(pool for pool, _ in route.shares)]
    weights = [route.pool_weight, *(weight for _, weight in route.shares)]
    (chosen,) = random.choices(pools, weights)  # noqa: S311 - dividing work
    return chosen
