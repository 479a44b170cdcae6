"""Answers that a test wrote beforehand, tool calls included, in the manners of several engines.

A script is a list of turns, a turn a text, a list of calls, or an object of both:
["Hello", [{"name": "add", "arguments": {"a": 1}}], {"text": "So:", "calls": […]}].
Which turn it is follows from the request, so that many runs can be played at the same time.
"$input" in arguments is the text of the last message of a person.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

Turn = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]


class CallStyle(StrEnum):
    """How tool calls are cut and labelled in a stream."""

    PIECES = "pieces"
    """Id and name first, then the arguments in pieces: OpenAI, most parsers of vLLM."""
    WHOLE = "whole"
    """Each call in one piece: vLLM's Mistral parser, llama.cpp at times."""
    NO_INDEX = "no_index"
    FIRST_INDEX = "first_index"
    """Every call has the index 0."""
    NEW_IDS = "new_ids"
    """Every piece has an id of its own."""


def turn_of(script: Sequence[Turn], body: Mapping[str, Any]) -> Turn:
    """The turn that follows what the model has said since the last message of a person."""
    said, prompt = 0, ""
    for message in body.get("messages") or []:
        if message.get("role") == "user":
            said, prompt = 0, str(message.get("content"))
        else:
            said += message.get("role") == "assistant"
    return with_input(script[min(said, len(script) - 1)], prompt)


def with_input(turn: Turn, prompt: str) -> Turn:
    if isinstance(turn, str):
        return turn
    found: Turn = json.loads(json.dumps(turn).replace('"$input"', json.dumps(prompt)))
    return found


def parts(turn: Turn) -> tuple[str, list[dict[str, Any]]]:
    """The text of a turn, and its calls with arguments as text."""
    if isinstance(turn, str):
        return turn, []
    text = str(turn.get("text", "")) if isinstance(turn, Mapping) else ""
    calls = turn.get("calls", []) if isinstance(turn, Mapping) else turn
    return text, [
        {
            "id": call.get("id", f"call{index:05}"),
            "name": call["name"],
            "arguments": written(call.get("arguments", {})),
        }
        for index, call in enumerate(calls)
    ]


def written(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def deltas(turn: Turn, style: CallStyle) -> list[dict[str, Any]]:
    """The turn as deltas of a stream, each as good as a token."""
    text, calls = parts(turn)
    words = text.split(" ")
    said = [{"content": word + " " * (index < len(words) - 1)} for index, word in enumerate(words)]
    made = [
        {"tool_calls": [piece]}
        for index, call in enumerate(calls)
        for piece in call_pieces(call, index, style)
    ]
    return [*(said if text or not made else []), *made]


def call_pieces(call: dict[str, Any], index: int, style: CallStyle) -> list[dict[str, Any]]:
    place = {
        CallStyle.NO_INDEX: {},
        CallStyle.FIRST_INDEX: {"index": 0},
    }.get(style, {"index": index})
    arguments = call["arguments"]
    head = {**place, "id": call["id"], "type": "function"}
    if style is CallStyle.WHOLE:
        return [{**head, "function": {"name": call["name"], "arguments": arguments}}]
    size = max(1, len(arguments) // 3)
    rest = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    ids = [{"id": f"{call['id']}-{n}"} if style is CallStyle.NEW_IDS else {} for n in range(99)]
    return [
        {**head, "function": {"name": call["name"], "arguments": ""}},
        *({**place, **ids[n], "function": {"arguments": part}} for n, part in enumerate(rest)),
    ]


def message(turn: Turn) -> dict[str, Any]:
    """The turn as the message of a complete answer."""
    text, calls = parts(turn)
    return {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls
        ],
    }
