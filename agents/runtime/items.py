"""What conversations are made of, as values: messages, tool calls, their results, approvals.

Their JSON is that of Open Responses 2026-04-24; what is ours alone begins with `tenantry:`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from agents.events.event import Json
from inference.relay.parameters import (
    ChatMessage,
    ImagePart,
    ImageUrl,
    TextPart,
    ToolCall,
    explain,
)
from inference.relay.parameters import FunctionCall as CalledFunction
from kernel.errors import InvalidParameter
from kernel.ids import new_id

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["system", "developer", "user", "assistant"]


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    text: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    # As in chat requests: an engine that fetched addresses would fetch internal ones too.
    image_url: str
    detail: Literal["auto", "low", "high"] = "auto"


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    text: str
    annotations: tuple[Json, ...] = ()
    logprobs: tuple[Json, ...] = ()


Part = InputText | InputImage | OutputText


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Something said, by whomever."""

    id: str
    role: Role
    content: tuple[Part, ...]
    status: Status = "completed"

    @property
    def text(self) -> str:
        """All that is text in it."""
        return "".join(part.text for part in self.content if not isinstance(part, InputImage))


class FunctionCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"
):
    """What the model wants to be called. `arguments` is JSON as the model wrote it."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"


class FunctionCallOutput(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """What a call gave, for the model to read."""

    id: str
    call_id: str
    output: str
    status: Status = "completed"


class ApprovalRequest(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:approval_request"
):
    """A call that waits for a person. `id` is the approval's, which an answer names."""

    id: str
    call_id: str
    name: str
    arguments: str


class ApprovalResponse(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:approval_response"
):
    """What the person said."""

    id: str
    approval_request_id: str
    approve: bool
    reason: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:summary"):
    """Stands for everything before it that no longer fits the context."""

    id: str
    text: str


Item = Message | FunctionCall | FunctionCallOutput | ApprovalRequest | ApprovalResponse | Summary


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item on its way into a table."""

    item: Item
    is_input: bool = False
    """Brought by the client, not made by the run."""


PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "tenantry:approval_request": "apr",
    "tenantry:approval_response": "apa",
    "tenantry:summary": "sum",
}
FROM_CLIENTS = ("message", "function_call", "function_call_output", "tenantry:approval_response")
MOST_ITEMS = 1000


def kind_of(item: Item) -> str:
    """The item's type as Open Responses and `ItemKind` call it."""
    return str(item.__struct_config__.tag)


def new_item_id(kind: str) -> str:
    """An id that tells what it names. Raises KeyError for a kind that is none."""
    return new_id(PREFIXES[kind])


def item_json(item: Item) -> Json:
    """The item as Open Responses writes it, its id included."""
    json: Json = msgspec.to_builtins(item)
    return json


def read_item(json: Json) -> Item:
    """An item that `item_json` wrote. Raises msgspec.ValidationError for anything else."""
    item: Item = msgspec.convert(json, Item)
    return item


def read_input(value: str | Sequence[Json], *, name: str = "input") -> tuple[Item, ...]:
    """What a client sent as `input`, or under another name; every item gets an id of ours.

    Raises InvalidParameter that names the place.
    """
    if isinstance(value, str):
        return (user_message(value),)
    if not 1 <= len(value) <= MOST_ITEMS:
        raise InvalidParameter(f"`{name}` holds 1 to {MOST_ITEMS} items.", param=name)
    return tuple(read_input_item(json, place=f"{name}[{i}]") for i, json in enumerate(value))


def read_input_item(json: Json, *, place: str) -> Item:
    """One item from a client, in any of the short forms that Open Responses allows."""
    kind = json.get("type", "message")
    if kind not in FROM_CLIENTS:
        known = ", ".join(FROM_CLIENTS)
        raise InvalidParameter(f"{place}: the type is none of {known}.", param=place)
    full = {**json, "type": kind, "id": new_item_id(kind)}
    # A client that sends back what it got may say how far it got; here it is what was said.
    full.pop("status", None)
    if kind == "message":
        full["content"] = full_content(full.get("content"), role=full.get("role"))
    if kind == "function_call_output" and not isinstance(full.get("output"), str):
        full["output"] = msgspec.json.encode(full.get("output")).decode()
    try:
        item = read_item(full)
    except msgspec.ValidationError as error:
        problem = explain(error)
        text = f"{place}: {problem.message}"
        raise InvalidParameter(text, param=f"{place}.{problem.param or ''}".rstrip(".")) from error
    ensure_inline_images(item, place=place)
    return item


def full_content(content: Any, *, role: Any) -> Any:
    """A content of parts, whatever short form the client chose."""
    kind = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, str):
        return [{"type": kind, "text": content}]
    if not isinstance(content, list):
        return content
    return [
        {**part, "type": kind} if isinstance(part, dict) and part.get("type") == "text" else part
        for part in content
    ]


def ensure_inline_images(item: Item, *, place: str) -> None:
    if not isinstance(item, Message):
        return
    for part in item.content:
        if isinstance(part, InputImage) and not part.image_url.startswith("data:image/"):
            text = f"{place}: images must be inline, as `data:image/…` addresses."
            raise InvalidParameter(text, param=place)


def user_message(text: str) -> Message:
    return Message(id=new_id("msg"), role="user", content=(InputText(text=text),))


def chat_messages(items: Iterable[Item]) -> list[ChatMessage]:
    """The items as an engine reads them. Calls of one turn become one assistant message.

    Approvals are between people and us; engines are not told.
    """
    messages: list[ChatMessage] = []
    for item in items:
        match item:
            case Message():
                messages.append(ChatMessage(role=item.role, content=chat_content(item)))
            case FunctionCall():
                add_call(messages, item)
            case FunctionCallOutput():
                messages.append(
                    ChatMessage(role="tool", content=item.output, tool_call_id=item.call_id)
                )
            case Summary():
                messages.append(ChatMessage(role="system", content=item.text))
            case _:
                continue
    return messages


def add_call(messages: list[ChatMessage], call: FunctionCall) -> None:
    """Engines want the calls of a turn, and what was said before them, in one message."""
    called = CalledFunction(name=call.name, arguments=call.arguments)
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        last = ChatMessage(role="assistant")
        messages.append(last)
    earlier = last.tool_calls if isinstance(last.tool_calls, list) else []
    last.tool_calls = [*earlier, ToolCall(id=call.call_id, function=called)]


def chat_content(message: Message) -> str | list[TextPart | ImagePart]:
    """One text if it is one; else parts."""
    if len(message.content) == 1 and not isinstance(message.content[0], InputImage):
        return message.content[0].text
    return [
        ImagePart(image_url=ImageUrl(url=part.image_url, detail=part.detail))
        if isinstance(part, InputImage)
        else TextPart(text=part.text)
        for part in message.content
    ]
