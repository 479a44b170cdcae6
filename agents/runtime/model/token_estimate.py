"""The demand of a request, which the gate admits, and the limit that an admission sets."""

import msgspec

from agents.runtime.model.prompt_size import BYTES_PER_TOKEN, message_bytes, prompt_bytes
from inference.fleet.snapshot import Route
from inference.relay.schema import ChatRequest, EmbeddingsRequest
from tenants.admission.limits.demand import Demand

NO_DEMAND = Demand(prompt_bytes=0, choices=0, context_length=1)
"""The demand of a response that no model generates."""


def chat_demand(request: ChatRequest, route: Route) -> Demand:
    """Return the demand of `request` with an agent's instructions and presets."""
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return Demand(
        prompt_bytes=prompt_bytes(request),
        max_completion_tokens=min(limits, default=None),
        choices=request.n or 1,
        context_length=route.context_length,
        streams=bool(request.stream),
    )


def with_max_tokens(request: ChatRequest, max_tokens: int | None) -> ChatRequest:
    """`request` with the granted number of tokens as its limit; unchanged for None."""
    if max_tokens is None:
        return request
    return msgspec.structs.replace(request, max_tokens=max_tokens, max_completion_tokens=None)


def embeddings_demand(request: EmbeddingsRequest, route: Route) -> Demand:
    """Return the demand of a request: texts count by bytes, token ids by number."""
    items = [request.input] if isinstance(request.input, str) else request.input or []
    messages = request.messages or []
    return Demand(
        prompt_bytes=sum(map(input_bytes, items)) + sum(map(message_bytes, messages)),
        choices=0,
        context_length=route.context_length,
    )


def input_bytes(item: str | int | list[int]) -> int:
    if isinstance(item, str):
        return len(item.encode())
    return BYTES_PER_TOKEN * (len(item) if isinstance(item, list) else 1)
