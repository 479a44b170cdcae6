"""The parts of a tool's result, as a model reads them. Pure."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from mcp_types import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from agents.runtime.loop.ports import ToolResult
from agents.schema.items import Audio, InputAudio, InputImage, InputText, OutputPart

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
AUDIO_FORMATS = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3",
}  # fmt: skip
MAX_MEDIA = 8
MAX_MEDIA_CHARS = 2 * 1024 * 1024
"""Of one image or recording as base64."""


def result_of(parts: Iterable[Any], *, is_error: bool) -> ToolResult:
    """Text as text, images and audio as parts beside it. Anything else is named in the text."""
    texts: list[str] = []
    content: list[OutputPart] = []
    media = 0
    for part in parts:
        seen = (image_of(part) or audio_of(part)) if media < MAX_MEDIA else None
        words = f"[{part.type}]" if seen is not None else part_text(part)
        media += seen is not None
        texts.append(words)
        content.append(InputText(text=words) if seen is None else seen)
    has_media = media > 0 and not is_error
    return ToolResult(
        text="\n".join(texts), is_error=is_error, parts=tuple(content) if has_media else ()
    )


def image_of(part: Any) -> InputImage | None:
    """None for what is no image that models take."""
    if not isinstance(part, ImageContent) or part.mime_type.lower() not in IMAGE_TYPES:
        return None
    if len(part.data) > MAX_MEDIA_CHARS or not is_base64(part.data):
        return None
    return InputImage(image_url=f"data:{part.mime_type.lower()};base64,{part.data}")


def audio_of(part: Any) -> InputAudio | None:
    """None for what is no audio that models take."""
    if not isinstance(part, AudioContent) or len(part.data) > MAX_MEDIA_CHARS:
        return None
    kind = AUDIO_FORMATS.get(part.mime_type.lower())
    if kind is None or not is_base64(part.data):
        return None
    return InputAudio(input_audio=Audio(data=part.data, format=kind))


def is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


def part_text(part: Any) -> str:
    if isinstance(part, TextContent):
        return part.text
    if isinstance(part, EmbeddedResource) and isinstance(part.resource, TextResourceContents):
        return part.resource.text
    uri = getattr(part, "uri", None)
    return f"[{part.type}: {uri}]" if uri else f"[{part.type}, which is no text]"
