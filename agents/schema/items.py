"""The items of conversations, as values: messages, tool calls, their results, approvals.

Clients get them in the form of Open Responses 2026-04-24, and calls that an agent executes itself
as OpenAI's `mcp_call`. In tables, types of the platform's own begin with `tenantry:`.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agents.schema.json_types import Json
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
    """The model's explanation why it does not answer."""

    refusal: str

    @property
    def text(self) -> str:
        """The refusal, under the name that texts have in the other parts."""
        return self.refusal


Part = InputText | InputImage | InputAudio | OutputText | Refusal
TEXTS = (InputText, OutputText, Refusal)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message of any role."""

    id: str
    role: Role
    content: tuple[Part, ...]
    status: Status = "completed"

    @property
    def text(self) -> str:
        """The texts of all parts."""
        return "".join(part.text for part in self.content if isinstance(part, TEXTS))


class SummaryText(msgspec.Struct, frozen=True, tag_field="type", tag="summary_text"):
    text: str


class ReasoningText(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    text: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """The reasoning of the model before its answer. The model gets it again while it uses tools."""

    id: str
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] = ()
    encrypted_content: str | None = None
    status: Status = "completed"
    member: Literal["reasoning_content", "reasoning", ""] = "reasoning_content"
    """The member of a message in which the engine wrote it, and reads it again; empty for none.
    Clients do not see it."""

    @property
    def text(self) -> str:
        """The texts of all parts."""
        return "".join(part.text for part in self.content)


class FunctionCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"
):
    """A tool call of the model. `arguments` is JSON as the model wrote it."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"
    server_label: str = ""
    """The agent that executes the call. Empty: the client does. Clients do not see it."""


OutputPart = InputText | InputImage | InputAudio


def text_of(output: str | Sequence[OutputPart]) -> str:
    """Return the texts of an output, one per line."""
    if isinstance(output, str):
        return output
    return "\n".join(part.text for part in output if isinstance(part, InputText))


class FunctionCallOutput(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """The output of a tool call, which the model reads."""

    id: str
    call_id: str
    output: str | tuple[OutputPart, ...]
    status: Status = "completed"
    is_error: bool | None = None
    """Whether the call failed; None where the client executed it. Clients do not see it."""

    @property
    def text(self) -> str:
        """The texts of the output, one per line."""
        return text_of(self.output)


class McpCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_call"):
    """A call that the server executed, with its result. Clients do not see the `call_id`, which is
    the model's id of the call.
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
    """A call that needs an approval. `id` is the id of the approval, which a response names."""

    id: str
    call_id: str
    name: str
    arguments: str
    server_label: str = ""
    note: str = ""
    """What the person should know before deciding, if there is anything."""


class ApprovalResponse(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:approval_response"
):
    """The decision of a person about an approval request."""

    id: str
    approval_request_id: str
    approve: bool
    reason: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tenantry:summary"):
    """Replaces the items before it that no longer fit the context."""

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
    """An item to be stored."""

    item: Item
    is_input: bool = False
    """Whether the item came from the client; else the run made it."""


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
    """Return the item's type as Open Responses and `ItemKind` call it."""
    return str(item.__struct_config__.tag)


def new_item_id(kind: str) -> str:
    """Return a new id with the prefix of its item type. Raises KeyError for an unknown type."""
    return new_id(PREFIXES[kind])


def item_json(item: Item) -> Json:
    """Return the item as tables and checkpoints store it, its id included."""
    json: Json = msgspec.to_builtins(item)
    return json


def client_json(item: Item) -> Json:
    """Return the item as clients read it, its id included."""
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
            if not item.note:
                del json["note"]
        case ApprovalResponse():
            json["type"] = "mcp_approval_response"
            json["reason"] = item.reason or None
        case _:
            pass
    return json


def mcp_error(text: str) -> Json:
    """Return a failure of a tool, as OpenAI's clients read it."""
    return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}


def read_item(json: Json) -> Item:
    """Return an item that `item_json` wrote. Raises msgspec.ValidationError for anything else."""
    item: Item = msgspec.convert(json, Item)
    return item


def user_message(text: str) -> Message:
    return Message(id=new_id("msg"), role="user", content=(InputText(text=text),))
