"""Converts the parts of a tool's result to parts that models read. Pure."""

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
"""The limit of one image or recording as base64."""


def result_of(parts: Iterable[Any], *, is_error: bool) -> ToolResult:
    """Text, images and audio as parts. Other parts are named in the text."""
    texts: list[str] = []
    content: list[OutputPart] = []
    media = 0
    for part in parts:
        medium = (image_of(part) or audio_of(part)) if media < MAX_MEDIA else None
        text = f"[{part.type}]" if medium is not None else part_text(part)
        media += medium is not None
        texts.append(text)
        content.append(InputText(text=text) if medium is None else medium)
    has_media = media > 0 and not is_error
    return ToolResult(
        text="\n".join(texts), is_error=is_error, parts=tuple(content) if has_media else ()
    )


def image_of(part: Any) -> InputImage | None:
    """Return the image of a part; None if it is none, or none that models read."""
    if not isinstance(part, ImageContent) or part.mime_type.lower() not in IMAGE_TYPES:
        return None
    if len(part.data) > MAX_MEDIA_CHARS or not is_base64(part.data):
        return None
    return InputImage(image_url=f"data:{part.mime_type.lower()};base64,{part.data}")


def audio_of(part: Any) -> InputAudio | None:
    """Return the audio of a part; None if it is none, or none that models read."""
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
