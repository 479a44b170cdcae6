"""How much a request asks for, as the gate wants to know it, and how it is kept to what it got."""

import msgspec

from inference.fleet.snapshot import Route
from inference.relay.requests.content_parts import (
    AudioPart,
    AudioUrlPart,
    FilePart,
    RefusalPart,
    VideoUrlPart,
)
from inference.relay.schema import (
    ChatMessage,
    ChatRequest,
    ContentPart,
    EmbeddingsRequest,
    ImagePart,
    TextPart,
)
from tenants.admission.limits.demand import Demand

BYTES_AROUND_A_MESSAGE = 24
"""What a chat template writes around each message, about eight tokens."""
BYTES_OF_AN_IMAGE = 4500
"""Usual models make up to 1,500 tokens of an image, whatever its file's size."""
SHRINKING_OF_SOUND = 200
"""Models hear about 25 tokens a second, of 16 kB or more."""
SHRINKING_OF_FILES = 4
BYTES_OF_A_TOKEN = 3
NO_DEMAND = Demand(prompt_bytes=0, answers=0, context_length=1)
"""Of an answer that no model gives."""


def chat_demand(request: ChatRequest, route: Route) -> Demand:
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
    brought = (request.tools, request.documents, request.chat_template_kwargs)
    beside = sum(len(msgspec.json.encode(each)) for each in brought if each)
    return beside + sum(map(message_bytes, request.messages))


def message_bytes(message: ChatMessage) -> int:
    size = BYTES_AROUND_A_MESSAGE
    if isinstance(message.content, str):
        size += len(message.content.encode())
    elif message.content:
        size += sum(map(part_bytes, message.content))
    if message.tool_calls:
        size += len(msgspec.json.encode(message.tool_calls))
    for beside in (message.refusal, message.reasoning or message.reasoning_content):
        if beside:
            size += len(msgspec.json.encode(beside))
    return size


def part_bytes(part: ContentPart) -> int:
    """A part as text of so many bytes would be counted."""
    match part:
        case TextPart():
            return len(part.text.encode())
        case RefusalPart():
            return len(part.refusal.encode())
        case ImagePart():
            return BYTES_OF_AN_IMAGE
        case FilePart():
            return max(BYTES_OF_AN_IMAGE, len(part.file.file_data) // SHRINKING_OF_FILES)
        case AudioPart():
            data = part.input_audio.data
        case AudioUrlPart():
            data = part.audio_url.url
        case VideoUrlPart():
            data = part.video_url.url
    return max(BYTES_OF_AN_IMAGE, len(data) // SHRINKING_OF_SOUND)


def with_max_tokens(request: ChatRequest, longest_answer: int | None) -> ChatRequest:
    """`request` with answers no longer than was granted; unchanged for None."""
    if longest_answer is None:
        return request
    return msgspec.structs.replace(request, max_tokens=longest_answer, max_completion_tokens=None)


def embeddings_demand(request: EmbeddingsRequest, route: Route) -> Demand:
    """Texts by their bytes, token ids by their number."""
    items = [request.input] if isinstance(request.input, str) else request.input or []
    messages = request.messages or []
    return Demand(
        prompt_bytes=sum(map(input_bytes, items)) + sum(map(message_bytes, messages)),
        answers=0,
        context_length=route.context_length,
    )


def input_bytes(item: str | int | list[int]) -> int:
    if isinstance(item, str):
        return len(item.encode())
    return BYTES_OF_A_TOKEN * (len(item) if isinstance(item, list) else 1)
