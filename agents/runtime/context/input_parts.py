"""Normalizes the content parts and tool outputs that clients send to those of items. Pure."""

import base64
import binascii
from typing import Any

import msgspec

from agents.runtime.loop.tool_output import TEXTS, storable
from agents.schema.json_types import Json
from inference.relay.requests.normalization import present
from kernel.errors import InvalidParameter

OUTPUT_PARTS = ("input_text", "input_image", "input_file", "text", "output_text")
MAX_TYPE_CHARS = 60


def full_content(content: Any, *, role: Any, place: str) -> Any:
    """Return the content as a list of parts, from any short form. Raises InvalidParameter."""
    kind = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, str):
        return [{"type": kind, "text": content}]
    if not isinstance(content, list):
        return content
    return [
        full_part(part, text_kind=kind, place=f"{place}.content[{i}]")
        for i, part in enumerate(content)
    ]


def full_part(part: Any, *, text_kind: str, place: str) -> Any:
    """Return one part. Raises InvalidParameter for types that no model here reads."""
    if not isinstance(part, dict):
        return part
    given = present(part)
    match given.get("type"):
        case "text" | "summary_text" | "reasoning_text":
            return {**given, "type": text_kind}
        case "input_image":
            return input_image(given, place=place)
        case "image_url":
            return chat_image(given)
        case "input_file":
            return file_text(given, text_kind=text_kind, place=place)
        case "input_text" | "output_text" | "input_audio" | "refusal":
            return given
        case kind:
            named = kind[:MAX_TYPE_CHARS] if isinstance(kind, str) else "?"
            raise InvalidParameter(
                f"{place}: parts of the type `{named}` are not supported.", param=f"{place}.type"
            )


def input_image(given: Json, *, place: str) -> Json:
    if "image_url" not in given and "file_id" in given:
        raise InvalidParameter(
            f"{place}: files are not stored here. Send the image inline, as `image_url`.",
            param=f"{place}.file_id",
        )
    return given


def chat_image(given: Json) -> Json:
    """Return an image in the form of chat requests."""
    image = given.get("image_url")
    inner = present(image) if isinstance(image, dict) else {"url": image}
    return present(
        {"type": "input_image", "image_url": inner.get("url"), "detail": inner.get("detail")}
    )


def file_text(given: Json, *, text_kind: str, place: str) -> Json:
    """Return a file of text as a text. Raises InvalidParameter for any other file."""
    data = given.get("file_data")
    if not isinstance(data, str):
        raise InvalidParameter(
            f"{place}: files are not stored or fetched here. Send `file_data`, inline.",
            param=f"{place}.{'file_url' if 'file_url' in given else 'file_id'}",
        )
    head, comma, encoded = data.partition(",")
    if not comma or not head.startswith("data:"):
        head, encoded = "data:", data
    content_type = head.removeprefix("data:").removesuffix(";base64").lower()
    if TEXTS.fullmatch(content_type.split(";")[0]) is None:
        raise unreadable(place)
    try:
        text = storable(base64.b64decode(encoded, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError) as error:
        raise unreadable(place) from error
    name = given.get("filename")
    return {"type": text_kind, "text": f"{name}:\n{text}" if isinstance(name, str) else text}


def unreadable(place: str) -> InvalidParameter:
    return InvalidParameter(
        f"{place}: an `input_file` is read only if it is text, in base64. "
        "Send other files as text.",
        param=f"{place}.file_data",
    )


def full_output(output: Any, *, place: str) -> Any:
    """Return a tool output: a text, or parts; any other JSON becomes its text."""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and output and all(map(is_part, output)):
        return [
            full_part(as_input(part), text_kind="input_text", place=f"{place}[{i}]")
            for i, part in enumerate(output)
        ]
    return msgspec.json.encode(output).decode()


def is_part(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in OUTPUT_PARTS


def as_input(part: Json) -> Json:
    return {**part, "type": "input_text"} if part["type"] in {"text", "output_text"} else part
