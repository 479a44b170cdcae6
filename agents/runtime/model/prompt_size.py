"""The size of a prompt in bytes, from which its tokens are estimated. Pure."""

import msgspec

from inference.relay.requests.content_parts import (
    AudioPart,
    AudioUrlPart,
    FilePart,
    RefusalPart,
    VideoUrlPart,
)
from inference.relay.schema import ChatMessage, ChatRequest, ContentPart, ImagePart, TextPart

MESSAGE_OVERHEAD_BYTES = 24
"""The size of what a chat template adds to each message: about eight tokens."""
IMAGE_BYTES = 4500
"""Models use up to 1,500 tokens for an image, whatever the size of its file."""
AUDIO_BYTES_PER_TEXT_BYTE = 200
"""Models use about 25 tokens for a second of audio, which has 16 kB or more."""
FILE_BYTES_PER_TEXT_BYTE = 4
BYTES_PER_TOKEN = 3


def prompt_bytes(request: ChatRequest) -> int:
    """Return the size of everything in the request that becomes a part of the prompt."""
    extras = (request.tools, request.documents, request.chat_template_kwargs)
    size = sum(len(msgspec.json.encode(each)) for each in extras if each)
    return size + sum(map(message_bytes, request.messages))


def message_bytes(message: ChatMessage) -> int:
    size = MESSAGE_OVERHEAD_BYTES
    if isinstance(message.content, str):
        size += len(message.content.encode())
    elif message.content:
        size += sum(map(part_bytes, message.content))
    if message.tool_calls:
        size += len(msgspec.json.encode(message.tool_calls))
    for text in (message.refusal, message.reasoning or message.reasoning_content):
        if text:
            size += len(msgspec.json.encode(text))
    return size


def part_bytes(part: ContentPart) -> int:
    """Return the size of a text that needs as many tokens as the part."""
    match part:
        case TextPart():
            return len(part.text.encode())
        case RefusalPart():
            return len(part.refusal.encode())
        case ImagePart():
            return IMAGE_BYTES
        case FilePart():
            return max(IMAGE_BYTES, len(part.file.file_data) // FILE_BYTES_PER_TEXT_BYTE)
        case AudioPart():
            data = part.input_audio.data
        case AudioUrlPart():
            data = part.audio_url.url
        case VideoUrlPart():
            data = part.video_url.url
    return max(IMAGE_BYTES, len(data) // AUDIO_BYTES_PER_TEXT_BYTE)
