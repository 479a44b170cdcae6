"""How much a request asks for, as the gate wants to know it, and how it is kept to what it got."""

import msgspec

from inference.fleet.snapshot import Route
from inference.relay.parameters import ChatMessage, ChatRequest, EmbeddingsRequest, TextPart
from tenants.admission.demand import Demand

BYTES_AROUND_A_MESSAGE = 24
"""What a chat template writes around each message, about eight tokens."""
BYTES_OF_AN_IMAGE = 4500
"""Usual models make up to 1,500 tokens of an image, whatever its file's size."""
BYTES_OF_A_TOKEN = 3
NOTHING = Demand(prompt_bytes=0, answers=0, context_length=1)
"""Of an answer that no model gives."""


def demand_of_chat(request: ChatRequest, route: Route) -> Demand:
    """`request` as the engine will get it, with an agent's instructions and presets."""
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return Demand(
        prompt_bytes=prompt_bytes(request),
        longest_answer=min(limits, default=None),
        answers=request.n or 1,
        context_length=route.context_length,
        streams=bool(request.stream),
    )


def prompt_bytes(request: ChatRequest) -> int:
    """Bytes of everything that becomes a part of the prompt."""
    tools = len(msgspec.json.encode(request.tools)) if request.tools else 0
    return tools + sum(map(message_bytes, request.messages))


def message_bytes(message: ChatMessage) -> int:
    size = BYTES_AROUND_A_MESSAGE
    if isinstance(message.content, str):
        size += len(message.content.encode())
    elif message.content:
        for part in message.content:
            size += len(part.text.encode()) if isinstance(part, TextPart) else BYTES_OF_AN_IMAGE
    if message.tool_calls:
        size += len(msgspec.json.encode(message.tool_calls))
    return size


def limited(request: ChatRequest, longest_answer: int | None) -> ChatRequest:
    """`request` with answers no longer than was granted; unchanged for None."""
    if longest_answer is None:
        return request
    return msgspec.structs.replace(request, max_tokens=longest_answer, max_completion_tokens=None)


def demand_of_embeddings(request: EmbeddingsRequest, route: Route) -> Demand:
    """Texts by their bytes, token ids by their number."""
    items = [request.input] if isinstance(request.input, str) else request.input
    return Demand(
        prompt_bytes=sum(map(input_bytes, items)),
        answers=0,
        context_length=route.context_length,
    )


def input_bytes(item: str | int | list[int]) -> int:
    if isinstance(item, str):
        return len(item.encode())
    return BYTES_OF_A_TOKEN * (len(item) if isinstance(item, list) else 1)
