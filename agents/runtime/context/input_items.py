"""Reads the `input` of clients: each item type that SDKs send back, as an `Item`.

Null means absent, at every level. A type that no model here can read is refused by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agents.runtime.context.foreign_calls import FOREIGN_CALLS, as_own_call
from agents.runtime.context.input_parts import full_content, full_output
from agents.schema.items import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    Item,
    McpCall,
    Message,
    kind_of,
    new_item_id,
    read_item,
    user_message,
)
from agents.schema.json_types import Json
from inference.relay.requests.normalization import present
from inference.relay.schema import explain
from kernel.errors import InvalidParameter

MAX_INPUT_ITEMS = 1000
MAX_TYPE_CHARS = 60
IGNORED = ("mcp_list_tools",)
"""Items that are ignored: they list tools, and the tools of the request count."""
OWN_NAMES = {
    "mcp_approval_request": "tenantry:approval_request",
    "mcp_approval_response": "tenantry:approval_response",
    "tenantry:approval_response": "tenantry:approval_response",
}


class ItemReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to a stored item of the tenant."""

    id: str
    place: str
    """The place in the request, for errors."""


Call = FunctionCall | McpCall
InputItem = Item | ItemReference


def read_input(value: str | Sequence[Json], *, name: str = "input") -> tuple[InputItem, ...]:
    """Return the items that a client sent as `name`; each gets a new id.

    Raises InvalidParameter, which names the place.
    """
    if isinstance(value, str):
        return (user_message(value),)
    if not 1 <= len(value) <= MAX_INPUT_ITEMS:
        raise InvalidParameter(f"`{name}` has 1 to {MAX_INPUT_ITEMS} items.", param=name)
    return tuple(
        read_input_item(json, place=f"{name}[{i}]")
        for i, json in enumerate(value)
        if json.get("type") not in IGNORED
    )


def read_items(value: Sequence[Json], *, name: str) -> tuple[Item, ...]:
    """Return the items that a client sent, like `read_input`. Refuses references."""
    items: list[Item] = []
    for item in read_input(value, name=name):
        if isinstance(item, ItemReference):
            raise InvalidParameter(
                f"{item.place}: an `item_reference` can be sent as `input` of a response only.",
                param=item.place,
            )
        items.append(item)
    return tuple(items)


def read_input_item(json: Json, *, place: str) -> InputItem:
    """Return one item from a client, in any of the short forms that Open Responses allows."""
    given = present(json)
    kind = given.get("type", "message")
    if not isinstance(kind, str):
        raise InvalidParameter(f"{place}: the type is a text.", param=f"{place}.type")
    if kind == "item_reference" or set(given) == {"id"}:
        return read_reference(given, place)
    read = READERS.get(kind)
    if read is not None:
        full = read(given, place)
    elif kind in FOREIGN_CALLS:
        full = as_own_call(given)
    else:
        raise InvalidParameter(
            f"{place}: items of the type `{kind[:MAX_TYPE_CHARS]}` are not supported. Leave it "
            "out, or send its text as a message.",
            param=f"{place}.type",
        )
    item = converted({**full, "id": new_item_id(full["type"])}, place=place)
    ensure_inline_images(item, place=place)
    return item


def converted(full: Json, *, place: str) -> Item:
    """Return the item of normalized JSON. Raises InvalidParameter, which names the place."""
    try:
        return read_item(full)
    except msgspec.ValidationError as error:
        problem = explain(error)
        text = f"{place}: {problem.message}"
        param = f"{place}.{problem.param or ''}".rstrip(".")
        raise InvalidParameter(text, param=param) from error


def read_reference(given: Json, place: str) -> ItemReference:
    name = given.get("id")
    if not isinstance(name, str):
        raise InvalidParameter(f"{place}: an `item_reference` has an `id`.", param=f"{place}.id")
    return ItemReference(id=name, place=place)


def read_message(given: Json, place: str) -> Json:
    content = full_content(given.get("content"), role=given.get("role"), place=place)
    # A message that is sent back may have the status `incomplete`; as input it is complete.
    full = {**given, "type": "message", "content": content}
    full.pop("status", None)
    return present(full)


def read_call(given: Json, _: str) -> Json:
    return with_arguments(only(given, "type", "call_id", "name", "arguments"))


def with_arguments(call: Json) -> Json:
    """Return a call whose arguments are a text: some clients send none, or a JSON object."""
    arguments = call.get("arguments", {})
    if isinstance(arguments, dict):
        return {**call, "arguments": msgspec.json.encode(arguments).decode()}
    return call


def read_output(given: Json, place: str) -> Json:
    full = only(given, "type", "call_id")
    if "output" in given:
        full["output"] = full_output(given["output"], place=f"{place}.output")
    return full


def read_reasoning(given: Json, _: str) -> Json:
    full = only(given, "type", "encrypted_content", "summary", "content")
    for name in ("summary", "content"):
        if isinstance(full.get(name), list):
            full[name] = [present(part) for part in full[name] if isinstance(part, dict)]
    return full


def read_mcp_call(given: Json, _: str) -> Json:
    full = only(given, "type", "name", "arguments", "output", "approval_request_id")
    error = given.get("error")
    if error is not None:
        full |= {"error": error_text(error), "status": "failed"}
    return {**with_arguments(full), "server_label": given.get("server_label", "")}


def error_text(error: Any) -> str:
    """Return the text of an `error`, in any of the forms in which SDKs send it back."""
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        parts = error.get("content")
        if isinstance(parts, list):
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return "\n".join(text for text in texts if isinstance(text, str))
        if isinstance(error.get("message"), str):
            return str(error["message"])
    return msgspec.json.encode(error).decode()


def read_approval_request(given: Json, _: str) -> Json:
    full = only(given, "name", "arguments", "server_label")
    return {**full, "type": OWN_NAMES["mcp_approval_request"], "call_id": ""}


def read_approval_response(given: Json, _: str) -> Json:
    full = only(given, "approval_request_id", "approve", "reason")
    return {**full, "type": OWN_NAMES["mcp_approval_response"]}


def only(given: Json, *names: str) -> Json:
    return {name: given[name] for name in names if name in given}


READERS: Mapping[str, Callable[[Json, str], Json]] = {
    "message": read_message,
    "reasoning": read_reasoning,
    "function_call": read_call,
    "function_call_output": read_output,
    "mcp_call": read_mcp_call,
    "mcp_approval_request": read_approval_request,
    "tenantry:approval_request": read_approval_request,
    "mcp_approval_response": read_approval_response,
    "tenantry:approval_response": read_approval_response,
}


def ensure_inline_images(item: Item, *, place: str) -> None:
    """Raises InvalidParameter for an image that is not inline: engines would fetch internal
    addresses too.
    """
    parts: Sequence[Any] = ()
    if isinstance(item, Message):
        parts = item.content
    elif isinstance(item, FunctionCallOutput) and not isinstance(item.output, str):
        parts = item.output
    for part in parts:
        if isinstance(part, InputImage) and not part.image_url.startswith("data:image/"):
            text = f"{place}: images must be inline, as `data:image/…;base64,…` addresses."
            raise InvalidParameter(text, param=place)


def under_new_id(item: Item) -> Item:
    """Return the item with a new id, to be stored again."""
    return msgspec.structs.replace(item, id=new_item_id(kind_of(item)))


def ensure_calls(history: Sequence[Item], input_items: Sequence[Item]) -> None:
    """Raises InvalidParameter for an output in `input_items` without a call before it."""
    known = {item.call_id for item in history if isinstance(item, Call)}
    for item in input_items:
        if isinstance(item, Call):
            known.add(item.call_id)
        elif isinstance(item, FunctionCallOutput) and item.call_id not in known:
            raise InvalidParameter(
                f"There is no call before the function_call_output {item.call_id[:100]!r}. "
                "Send the call too, or continue the response that made it.",
                param="input",
            )
