"""Converts the messages of A2A to items, and items to messages and artifacts."""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from a2a.types import Artifact, Message, Part, Role
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError
from google.protobuf.json_format import MessageToDict

from agents.runtime.context.input_items import read_items
from agents.runtime.loop.tool_output import TEXTS as TEXT_TYPES
from agents.schema.items import InputAudio, InputImage, Item
from agents.schema.items import Message as MessageItem
from agents.schema.items import Part as ItemPart
from agents.schema.json_types import Json

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
AUDIO = {"audio/wav": "wav", "audio/mpeg": "mp3"}
JSON_TYPE = "application/json"
INPUT_MODES = ("text/plain", JSON_TYPE, *IMAGES, *AUDIO)
OUTPUT_MODES = ("text/plain",)
MAX_MESSAGE_ID_CHARS = 256
ARTIFACT_NAME = "response"


def read_message(message: Message) -> tuple[Item, ...]:
    """Return the items of a client's message.

    Raises ContentTypeNotSupportedError, InvalidParamsError, and InvalidParameter.
    """
    if message.role != Role.ROLE_USER:
        raise InvalidParamsError("The role of a message to an agent is ROLE_USER.")
    if len(message.message_id) > MAX_MESSAGE_ID_CHARS:
        raise InvalidParamsError(f"`messageId` has at most {MAX_MESSAGE_ID_CHARS} characters.")
    content = [read_part(part) for part in message.parts]
    return read_items([{"type": "message", "role": "user", "content": content}], name="message")


def read_part(part: Part) -> Json:
    """Return a part as the Responses API has it."""
    media_type = part.media_type.partition(";")[0].strip().lower()
    match part.WhichOneof("content"):
        case "text" if not media_type or TEXT_TYPES.fullmatch(media_type):
            return {"type": "input_text", "text": part.text}
        case "data" if media_type in {"", JSON_TYPE}:
            text = json.dumps(as_json(MessageToDict(part.data)), ensure_ascii=False)
            return {"type": "input_text", "text": text}
        case "raw":
            return read_file(part, media_type)
        case "url":
            raise ContentTypeNotSupportedError(
                "Files are not fetched here. Send the content itself, as `raw`."
            )
        case None:
            raise InvalidParamsError("A part has `text`, `data` or `raw`.")
    raise unsupported(media_type)


def as_json(value: Any) -> Any:
    """Return a value with integers where they were: protobuf stores all numbers as floats."""
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_file(part: Part, media_type: str) -> Json:
    encoded = base64.b64encode(part.raw).decode()
    if media_type in IMAGES:
        return {"type": "input_image", "image_url": f"data:{media_type};base64,{encoded}"}
    if media_type in AUDIO:
        return {
            "type": "input_audio",
            "input_audio": {"data": encoded, "format": AUDIO[media_type]},
        }
    if media_type and TEXT_TYPES.fullmatch(media_type):
        named = {"filename": part.filename} if part.filename else {}
        data = f"data:{media_type};base64,{encoded}"
        return {"type": "input_file", "file_data": data, **named}
    raise unsupported(media_type)


def unsupported(media_type: str) -> ContentTypeNotSupportedError:
    named = media_type[:100] or "unknown"
    known = ", ".join(INPUT_MODES)
    return ContentTypeNotSupportedError(
        f"Parts of the media type {named} are not supported. Send one of {known}."
    )


def find_data(message: Message, member: str) -> Json | None:
    """Return the first data part that is an object with this member."""
    for part in message.parts:
        if part.WhichOneof("content") == "data":
            data = MessageToDict(part.data)
            if isinstance(data, dict) and member in data:
                return data
    return None


def history_of(
    inputs: Sequence[Item], *, message_id: str, task_id: str, context_id: str
) -> list[Message]:
    """Return the client's message of a task, as it was sent."""
    messages = [item for item in inputs if isinstance(item, MessageItem)]
    return [
        Message(
            message_id=message_id or item.id,
            task_id=task_id,
            context_id=context_id,
            role=Role.ROLE_USER,
            parts=[part_of(part) for part in item.content],
        )
        for item in messages
        if item.content
    ]


def part_of(part: ItemPart) -> Part:
    match part:
        case InputImage():
            head, _, encoded = part.image_url.removeprefix("data:").partition(";base64,")
            return Part(raw=base64.b64decode(encoded), media_type=head)
        case InputAudio():
            audio = part.input_audio
            return Part(raw=base64.b64decode(audio.data), media_type=f"audio/{audio.format}")
        case _:
            return Part(text=part.text)


def artifacts_of(output: Iterable[Item]) -> list[Artifact]:
    """Return the messages of a run as artifacts. Calls of tools are not shown."""
    return [
        Artifact(artifact_id=item.id, name=ARTIFACT_NAME, parts=[Part(text=item.text)])
        for item in output
        if isinstance(item, MessageItem) and item.content
    ]


def agent_message(text: str, *, message_id: str, task_id: str, context_id: str) -> Message:
    """Return a message of the agent about the state of its task."""
    return Message(
        message_id=message_id,
        task_id=task_id,
        context_id=context_id,
        role=Role.ROLE_AGENT,
        parts=[Part(text=text)],
    )
