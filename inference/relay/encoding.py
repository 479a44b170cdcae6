"""What is sent to an engine: the caller's request under the engine's name of the model."""

import msgspec

from inference.fleet.snapshot import Endpoint
from inference.relay.parameters import ChatRequest, EmbeddingsRequest, StreamOptions

CONTINUOUS = frozenset({"vllm"})
"""Engines that can report usage on every chunk, so that a cut stream is billed exactly."""


def encode_chat(request: ChatRequest, endpoint: Endpoint, *, engine: str) -> bytes:
    """Usage is always asked for, whether or not the client wants to see it."""
    options = None
    if request.stream:
        continuous = engine in CONTINUOUS
        options = StreamOptions(include_usage=True, continuous_usage_stats=continuous)
    limit = request.max_completion_tokens or request.max_tokens
    return msgspec.json.encode(
        msgspec.structs.replace(
            request,
            model=endpoint.model,
            stream_options=options,
            max_tokens=limit,
            max_completion_tokens=None,
        )
    )


def encode_embeddings(request: EmbeddingsRequest, endpoint: Endpoint) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(request, model=endpoint.model))


def renaming(endpoint: Endpoint, model: str) -> tuple[bytes, bytes] | None:
    """Replaces the engine's name of the model in its answers by what the client wrote."""
    if endpoint.model == model:
        return None
    return (
        b'"model":' + msgspec.json.encode(endpoint.model),
        b'"model":' + msgspec.json.encode(model),
    )
