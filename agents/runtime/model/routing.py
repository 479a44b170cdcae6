"""For whom a request goes to the engines, as the fleet wants to know it."""

import random

from inference.fleet.snapshot import Endpoint, Pool, Route
from inference.relay.encoding import encode_chat, encode_embeddings
from inference.relay.route_trace import RouteTrace
from inference.relay.schema import ChatRequest, EmbeddingsRequest
from tenants.admission.gate import Admission

MAX_PREFIX_CHARS = 1024


def start_route(
    route: Route, admission: Admission, *, asked: ChatRequest | None = None
) -> RouteTrace:
    """The route trace of an admitted request; `asked` as the engine will get it."""
    principal = admission.subject.principal
    pool = pick_pool(route)
    prefix = b""
    if asked is not None and pool.strategy == "prefix_affinity":
        prefix = prefix_of(asked)
    return RouteTrace(
        pool,
        fallbacks=route.fallbacks,
        affinity=f"key:{principal.counted_as}".encode(),
        prefix=prefix,
        tenant_id=principal.tenant_id,
        weight=admission.weight,
        tokens=admission.expected_tokens,
    )


def encode_request(route_trace: RouteTrace, asked: ChatRequest, endpoint: Endpoint) -> bytes:
    """`asked` for an endpoint, as the pool takes it that the request has come to."""
    return encode_chat(asked, endpoint, engine=route_trace.pool.engine)


def encode_embeddings_request(
    route_trace: RouteTrace, asked: EmbeddingsRequest, endpoint: Endpoint
) -> bytes:
    """As `encode_request`."""
    return encode_embeddings(asked, endpoint, engine=route_trace.pool.engine)


def prefix_of(asked: ChatRequest) -> bytes:
    """How the prompt begins: engines keep what they have worked out of it."""
    texts = (message.content for message in asked.messages)
    return "".join(text for text in texts if isinstance(text, str))[:MAX_PREFIX_CHARS].encode()


def pick_pool(route: Route) -> Pool:
    """One of the pools that share a route, drawn at random by weight."""
    if not route.shares:
        return route.pool
    pools = [route.pool, *(pool for pool, _ in route.shares)]
    weights = [route.pool_weight, *(weight for _, weight in route.shares)]
    (chosen,) = random.choices(pools, weights)  # noqa: S311 - dividing work
    return chosen
