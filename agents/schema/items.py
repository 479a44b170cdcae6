"""What conversations are made of, as values: messages, tool calls, their results, approvals.

Clients read them as Open Responses 2026-04-24 has them, and calls that an agent executes itself as
OpenAI's `mcp_call`. In tables what is ours alone begins with `tenantry:`.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agents.schema.json_types import Json
from inference.relay.requests.content_parts import AudioData, AudioPart
from inference.relay.schema import (
    ChatMessage,
    ContentPart,
    ImagePart,
    ImageUrl,
    TextPart,
    ToolCall,
)
from inference.relay.schema import FunctionCall as CalledFunction
from kernel.ids import new_id

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["system", "developer", "user", "assistant"]


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    text: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    # As in chat requests: an engine that fetched addresses would fetch internal ones too.
    image_url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class Audio(msgspec.Struct, frozen=True):
    data: str
    """Base64."""
    format: Annotated[str, Meta(pattern="^[A-Za-z0-9]{1,16}$")]


class InputAudio(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio"):
    input_audio: Audio


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    text: str
    annotations: tuple[Json, ...] = ()
    logprobs: tuple[Json, ...] = ()


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """Why the model does not answer, in its words."""

    refusal: str

    @property
    def text(self) -> str:
        """As the other parts call it."""
        return self.refusal


Part = InputText | InputImage | InputAudio | OutputText | Refusal
TEXTS = (InputText, OutputText, Refusal)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Something said, by whomever."""

    id: str
    role: Role
    content: tuple[Part, ...]
    status: Status = "completed"

    @property
    def text(self) -> str:
        """All that is text in it."""
        return "".join(part.text for part in self.content if isinstance(part, TEXTS))


class SummaryText(msgspec.Struct, frozen=True, tag_field="type", tag="summary_text"):
    text: str


class ReasoningText(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    text: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """What the model thought before it answered. It is sent it again while it uses tools."""

    id: str
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] = ()
    encrypted_content: str | None = None
    status: Status = "completed"
    member: Literal["reasoning_content", "reasoning", ""] = "reasoning_content"
    """In which member of a message the engine told it, and reads it again. Empty: in none. Clients
    do not see it."""

    @property
    def text(self) -> str:
        """All that was thought."""
        return "".join(part.text for part in self.content)


class FunctionCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"
):
    """What the model wants to be called. `arguments` is JSON as the model wrote it."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"
    server_label: str = ""
    """The agent that executes the call. Empty: the client does. Clients do not see it."""


OutputPart = InputText | InputImage | InputAudio


def text_of(output: str | Sequence[OutputPart]) -> str:
    """All that is text in what a call gave."""
    if isinstance(output, str):
        return output
    return "\n".join(part.text for part in output if isinstance(part, InputText))


class FunctionCallOutput(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """What a call gave, for the model to read."""

    id: str
    call_id: str
    output: str | tuple[OutputPart, ...]
    status: Status = "completed"
    is_error: bool | None = None
    """Whether the call failed; None where the client executed it. Clients do not see it."""

    @property
    def text(self) -> str:
        """All that is text in it."""
        return text_of(self.output)


class McpCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_call"):
    """A call that was executed by the server, with its result. `call_id` is the model's name of
    it, which clients do not see.
    """

    id: str
    name: str
    arguments: str
    server_label: str
    output: str | tuple[OutputPart, ...] | None = None
    error: str | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "completed"
    approval_request_id: str | None = None
    call_id: str = ""


class ApprovalRequest(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:approval_request"
):
    """A call that waits for a person. `id` is the approval's, which an answer names."""

    id: str
    call_id: str
    name: str
    arguments: str
    server_label: str = ""


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


Item = (
    Message
    | Reasoning
    | FunctionCall
    | FunctionCallOutput
    | McpCall
    | ApprovalRequest
    | ApprovalResponse
    | Summary
)


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item on its way into a table."""

    item: Item
    is_input: bool = False
    """Brought by the client, not made by the run."""


PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "mcp_call": "mcp",
    "tenantry:approval_request": "apr",
    "tenantry:approval_response": "apa",
    "tenantry:summary": "sum",
}


def kind_of(item: Item) -> str:
    """The item's type as Open Responses and `ItemKind` call it."""
    return str(item.__struct_config__.tag)


def new_item_id(kind: str) -> str:
    """An id that tells what it names. Raises KeyError for a kind that is none."""
    return new_id(PREFIXES[kind])


def item_json(item: Item) -> Json:
    """The item as tables and checkpoints keep it, its id included."""
    json: Json = msgspec.to_builtins(item)
    return json


def shown_json(item: Item) -> Json:
    """The item as clients read it, its id included."""
    json = item_json(item)
    match item:
        case Reasoning():
            del json["member"]
        case FunctionCall():
            del json["server_label"]
        case FunctionCallOutput():
            del json["is_error"]
        case McpCall():
            del json["call_id"]
            json["output"] = None if item.output is None else text_of(item.output)
            json["error"] = None if item.error is None else mcp_error(item.error)
        case ApprovalRequest():
            del json["call_id"]
            json["type"] = "mcp_approval_request"
        case ApprovalResponse():
            json["type"] = "mcp_approval_response"
            json["reason"] = item.reason or None
        case _:
            pass
    return json


def mcp_error(text: str) -> Json:
    """A failure of a tool, as OpenAI's clients read it."""
    return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}


def read_item(json: Json) -> Item:
    """An item that `item_json` wrote. Raises msgspec.ValidationError for anything else."""
    item: Item = msgspec.convert(json, Item)
    return item


def user_message(text: str) -> Message:
    return Message(id=new_id("msg"), role="user", content=(InputText(text=text),))


def chat_messages(items: Iterable[Item]) -> list[ChatMessage]:
    """The items as an engine reads them. Calls of one turn become one assistant message.

    What the model thought since the user's last message goes with what it said then: models that
    think between their calls need it, and want none from before. Approvals are between people and
    us.
    """
    messages: list[ChatMessage] = []
    ordered = tuple(items)
    last_question = max((n for n, item in enumerate(ordered) if is_question(item)), default=-1)
    thought: Reasoning | None = None
    for place, item in enumerate(ordered):
        match item:
            case Message():
                messages.append(ChatMessage(role=item.role, content=chat_content(item)))
            case Reasoning():
                thought = item if place > last_question else None
                continue
            case FunctionCall():
                add_call(messages, item)
            case FunctionCallOutput():
                messages.append(output_message(item.call_id, item.output))
            case McpCall():
                add_call(messages, item)
                thought = recall(messages[-1], thought)
                messages.append(output_message(item.call_id or item.id, mcp_output(item)))
            case Summary():
                messages.append(ChatMessage(role="system", content=item.text))
            case _:
                continue
        thought = recall(messages[-1], thought)
    return messages


def is_question(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def recall(message: ChatMessage, thought: Reasoning | None) -> Reasoning | None:
    """Put `thought` beside the assistant's words that it led to. None unless it waits for some."""
    if thought is None or message.role != "assistant":
        return thought
    if thought.member and thought.text:
        setattr(message, thought.member, thought.text)
    return None


def add_call(messages: list[ChatMessage], call: FunctionCall | McpCall) -> None:
    """Engines want the calls of a turn, and what was said before them, in one message."""
    called = CalledFunction(name=call.name, arguments=call.arguments)
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        last = ChatMessage(role="assistant")
        messages.append(last)
    earlier = last.tool_calls if isinstance(last.tool_calls, list) else []
    last.tool_calls = [*earlier, ToolCall(id=call.call_id or call.id, function=called)]


def output_message(call_id: str, output: str | Sequence[OutputPart]) -> ChatMessage:
    """The result of a call. Texts are one text; only images and audio make it a list of parts."""
    if isinstance(output, str) or all(isinstance(part, InputText) for part in output):
        return ChatMessage(role="tool", content=text_of(output), tool_call_id=call_id)
    content = [chat_part(part) for part in output]
    return ChatMessage(role="tool", content=content, tool_call_id=call_id)


def mcp_output(call: McpCall) -> str | Sequence[OutputPart]:
    """What the model reads of a call that the server executed."""
    if call.error is not None:
        return f"Error: {call.error}"
    return call.output or ""


def chat_content(message: Message) -> str | list[ContentPart]:
    """One text if it is one; else parts."""
    if len(message.content) == 1 and isinstance(message.content[0], TEXTS):
        return message.content[0].text
    return [chat_part(part) for part in message.content]


def chat_part(part: Part) -> ContentPart:
    if isinstance(part, InputAudio):
        heard = part.input_audio
        return AudioPart(input_audio=AudioData(data=heard.data, format=heard.format))
    if isinstance(part, InputImage):
        # Engines know no `original`: their best is `high`.
        detail = "high" if part.detail == "original" else part.detail
        return ImagePart(image_url=ImageUrl(url=part.image_url, detail=detail))
    return TextPart(text=part.text)
