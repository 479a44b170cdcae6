"""Normalization of requests that failed validation, from accepted variants to OpenAI's format.

Null means that a member is absent, everywhere: clients send back the responses of engines, and
send `None` for unset parameters.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

FREE_FORM: Final = frozenset(
    {
        *("arguments", "chat_template_kwargs", "documents", "guided_json", "input_schema"),
        *("json_schema", "metadata", "parameters", "response_format", "schema"),
        "structured_outputs",
    }
)
"""Members whose values are the caller's own: a null in a JSON schema is a value."""

PART_MEMBERS: Final = (
    *("text", "image_url", "input_audio", "audio_url", "video_url", "file", "refusal"),
)
"""Members that identify the type of a part without `type`, as in vLLM."""
URLS: Final = ("image_url", "audio_url", "video_url")
TEXT_TYPES: Final = frozenset({"input_text", "output_text"})


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not null."""
    return {name: value for name, value in members.items() if value is not None}


def without_nulls(value: Any) -> Any:
    """Return `value` without null members, and without top-level members named `_…`."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: without_inner_nulls(inner, name)
        for name, inner in value.items()
        if inner is not None and not name.startswith("_")
    }


def without_inner_nulls(value: Any, name: str) -> Any:
    if name in FREE_FORM:
        return value
    if isinstance(value, list):
        return [without_inner_nulls(each, "") for each in value]
    if isinstance(value, dict):
        return {
            key: without_inner_nulls(inner, key)
            for key, inner in value.items()
            if inner is not None
        }
    return value


def with_typed_parts(request: Any) -> Any:
    """Return the chat request with a `type` in every part of its messages."""
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list):
        return request
    return {**request, "messages": [with_typed_content(each) for each in messages]}


def with_typed_content(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    usual = dict(message)
    if isinstance(usual.get("content"), list):
        usual["content"] = [typed_part(part) for part in usual["content"]]
    if isinstance(usual.get("tool_calls"), list):
        usual["tool_calls"] = [
            complete_call(call, number) for number, call in enumerate(usual["tool_calls"])
        ]
    return usual


def complete_call(call: Any, number: int) -> Any:
    """Return `call` with an id and with arguments as a string; some engines omit them or send an
    object.
    """
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return {"id": f"call_{number}", **call, "function": {**function, "arguments": arguments}}


def typed_part(part: Any) -> Any:
    """Return `part` in OpenAI's format; a plain string becomes a text part."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    kind = part.get("type") or next((name for name in PART_MEMBERS if name in part), None)
    if kind in TEXT_TYPES:
        kind = "text"
    elif kind == "input_image":
        kind = "image_url"
    typed = {**part, "type": kind} if kind else part
    for name in URLS:
        if isinstance(typed.get(name), str):
            typed[name] = {"url": typed[name]}
    return typed
