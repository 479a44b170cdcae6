"""What is sent to an engine: the caller's request under the engine's name of the model."""

from functools import lru_cache

import msgspec

from inference.fleet.snapshot import Endpoint
from inference.relay.parameters import ChatRequest, EmbeddingsRequest, StreamOptions

CONTINUOUS = frozenset({"vllm"})
"""Engines that report usage on every chunk, so that a stream that is cut is billed exactly."""
TIMED = frozenset({"llamacpp"})
"""Engines that do the same under another name."""


def encode_chat(request: ChatRequest, endpoint: Endpoint, *, engine: str) -> bytes:
    """Usage is always asked for, whether or not the client wants to see it."""
    options = None
    if request.stream:
        continuous = engine in CONTINUOUS
        options = StreamOptions(include_usage=True, continuous_usage_stats=continuous)
    longest = request.max_completion_tokens or request.max_tokens
    wants_new_name = endpoint.limit_name == "max_completion_tokens"
    asked = msgspec.structs.replace(
        request,
        model=endpoint.model,
        stream_options=options,
        max_tokens=None if wants_new_name else longest,
        max_completion_tokens=longest if wants_new_name else None,
        # Ours alone: no engine learns of them.
        user=None,
        variables=None,
    )
    body = msgspec.json.encode(asked)
    if request.stream and engine in TIMED:
        # Added behind the allow-list: what only we may ask of an engine is no field of a request.
        return body[:-1] + b',"timings_per_token":true}'
    return body


def encode_embeddings(request: EmbeddingsRequest, endpoint: Endpoint) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(request, model=endpoint.model))


def with_priority(body: bytes, priority: int) -> bytes:
    """`body`, an object with members, with vLLM's own word for whose turn it is: least first."""
    return b'%b,"priority":%d}' % (body[:-1], priority)


def renamed(answer: bytes, endpoint: Endpoint, model: str) -> bytes:
    """`answer` with the client's name of the model instead of the engine's own."""
    if endpoint.model == model:
        return answer
    for theirs, ours in renaming(endpoint.model, model):
        answer = answer.replace(theirs, ours)
    return answer


@lru_cache(maxsize=4096)
def renaming(theirs: str, ours: str) -> list[tuple[bytes, bytes]]:
    """The member as engines write it, and as it is to be: asked for with every token.

    Inside a text the quotes would be escaped, so only the member itself is found.
    """
    forms = (b'"model":%b', b'"model": %b')
    names = msgspec.json.encode(theirs), msgspec.json.encode(ours)
    return [(form % names[0], form % names[1]) for form in forms]
