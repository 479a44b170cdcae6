"""The parts of a tool's result, as a model reads them. Pure."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from mcp_types import EmbeddedResource, ImageContent, TextContent, TextResourceContents

from agents.runtime.items import InputImage, InputText
from agents.runtime.ports import ToolResult

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
MAX_IMAGES = 8
MAX_IMAGE_CHARS = 2 * 1024 * 1024
"""Of one image as base64."""


def result_of(parts: Iterable[Any], *, is_error: bool) -> ToolResult:
    """Text as text, and images as parts beside it. What else there is is named in the text."""
    texts: list[str] = []
    content: list[InputText | InputImage] = []
    for part in parts:
        image = image_of(part) if count_images(content) < MAX_IMAGES else None
        if image is not None:
            content.append(image)
            texts.append(f"[{part.type}]")
        else:
            words = part_text(part)
            content.append(InputText(text=words))
            texts.append(words)
    has_images = count_images(content) > 0 and not is_error
    return ToolResult(
        text="\n".join(texts), is_error=is_error, parts=tuple(content) if has_images else ()
    )


def count_images(content: Iterable[InputText | InputImage]) -> int:
    return sum(isinstance(each, InputImage) for each in content)


def image_of(part: Any) -> InputImage | None:
    """None for what is no image that models take."""
    if not isinstance(part, ImageContent) or part.mime_type.lower() not in IMAGE_TYPES:
        return None
    if len(part.data) > MAX_IMAGE_CHARS or not is_base64(part.data):
        return None
    return InputImage(image_url=f"data:{part.mime_type.lower()};base64,{part.data}")


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
