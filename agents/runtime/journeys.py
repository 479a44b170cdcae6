"""For whom a request goes to the engines, as the fleet wants to know it."""

import random

from inference.fleet.snapshot import Endpoint, Pool, Route
from inference.relay.encoding import encode_chat, encode_embeddings
from inference.relay.journey import Journey
from inference.relay.parameters import ChatRequest, EmbeddingsRequest
from tenants.admission.gate import Admission

LONGEST_PREFIX = 1024


def begin_journey(
    route: Route, admission: Admission, *, asked: ChatRequest | None = None
) -> Journey:
    """The journey of an admitted request; `asked` as the engine will get it."""
    principal = admission.subject.principal
    pool = share_of(route)
    prefix = b""
    if asked is not None and pool.strategy == "prefix_affinity":
        prefix = prefix_of(asked)
    return Journey(
        pool,
        fallbacks=route.fallbacks,
        affinity=f"key:{principal.counted_as}".encode(),
        prefix=prefix,
        tenant_id=principal.tenant_id,
        weight=admission.weight,
        tokens=admission.expected_tokens,
    )


def encode_for(journey: Journey, asked: ChatRequest, endpoint: Endpoint) -> bytes:
    """`asked` for an endpoint, in the manner of the pool that the journey has come to."""
    return encode_chat(asked, endpoint, engine=journey.pool.engine)


def encode_embeddings_for(journey: Journey, asked: EmbeddingsRequest, endpoint: Endpoint) -> bytes:
    """As `encode_for`."""
    return encode_embeddings(asked, endpoint, engine=journey.pool.engine)


def prefix_of(asked: ChatRequest) -> bytes:
    """How the prompt begins: engines keep what they have worked out of it."""
    texts = (message.content for message in asked.messages)
    return "".join(text for text in texts if isinstance(text, str))[:LONGEST_PREFIX].encode()


def share_of(route: Route) -> Pool:
    """The pool whose turn it is, by lot and weight, where several share a route."""
    if not route.shares:
        return route.pool
    pools = [route.pool, *(pool for pool, _ in route.shares)]
    weights = [route.pool_weight, *(weight for _, weight in route.shares)]
    (chosen,) = random.choices(pools, weights)  # noqa: S311 - dividing work
    return chosen
