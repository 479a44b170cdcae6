"""A conversation as people read it: messages, and each tool call with its result, folded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents.models.choices import ItemKind

MAX_TEXT_CHARS = 20_000
"""The limit of one entry, so that a page stays small for any output of a tool."""
ROLE_LABELS = {
    "user": "User",
    "assistant": "Agent",
    "system": "Instructions",
    "developer": "Instructions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptItem:
    """The fields of an item that are displayed. Templates escape all of them."""

    kind: str
    public_id: str
    run: str
    body: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """One entry of a transcript. An entry with a heading is folded and opens on a click."""

    author: str
    css: str
    text: str
    public_id: str
    run: str
    created_at: datetime
    heading: str = ""
    result: str | None = None
    call_id: str = ""


def transcript_of(items: Sequence[TranscriptItem]) -> list[TranscriptEntry]:
    """Return the entries in the order of `items`; a result is added to its call if there is one."""
    entries: list[TranscriptEntry] = []
    for item in items:
        entry = entry_of(item)
        place = place_of_call(entries, item)
        if place is None:
            entries.append(entry)
        else:
            entries[place] = replace(entries[place], result=entry.text)
    return entries


def place_of_call(entries: Sequence[TranscriptEntry], item: TranscriptItem) -> int | None:
    if item.kind != ItemKind.FUNCTION_CALL_OUTPUT:
        return None
    places = (
        place
        for place, entry in enumerate(entries)
        if entry.call_id and entry.call_id == item.body.get("call_id") and entry.result is None
    )
    return next(places, None)


def entry_of(item: TranscriptItem) -> TranscriptEntry:
    body = item.body
    entry = TranscriptEntry(
        author="", css="note", text="", public_id=item.public_id, run=item.run,
        created_at=item.created_at,
    )  # fmt: skip
    match item.kind:
        case ItemKind.MESSAGE:
            role = str(body.get("role"))
            return replace(
                entry, author=ROLE_LABELS.get(role, role), css=role, text=truncated(text_of(body))
            )
        case ItemKind.FUNCTION_CALL:
            heading = f"Tool call: {body.get('name', '')}"
            call_id = str(body.get("call_id", ""))
            text = truncated(readable(body.get("arguments")))
            return replace(
                entry, author="Agent", css="tool", heading=heading, text=text, call_id=call_id
            )
        case ItemKind.MCP_CALL:
            return executed_call(entry, body)
        case ItemKind.FUNCTION_CALL_OUTPUT:
            text = truncated(readable_output(body.get("output", "")))
            return replace(entry, author="Tool", css="tool", heading="Tool result", text=text)
        case ItemKind.SUMMARY:
            heading = "Summary: the model gets this in place of the items above"
            return replace(entry, heading=heading, text=truncated(str(body.get("text", ""))))
        case _:
            heading = ItemKind(item.kind).label.capitalize()
            return replace(entry, heading=heading, text=truncated(text_of(body) or readable(body)))


def executed_call(entry: TranscriptEntry, body: dict[str, Any]) -> TranscriptEntry:
    """Return a call that the agent executed, with its result."""
    error = body.get("error")
    result = f"Error: {error}" if error else readable_output(body.get("output") or "")
    return replace(
        entry,
        author="Agent",
        css="tool",
        heading=f"Tool call: {body.get('name', '')}",
        text=truncated(readable(body.get("arguments"))),
        result=truncated(result),
    )


def readable_output(output: Any) -> str:
    """Return the output of a tool, which is a text or a list of parts."""
    return output if isinstance(output, str) else text_of({"content": output})


def text_of(body: dict[str, Any]) -> str:
    return "\n".join(map(text_of_part, body.get("content") or ()))


def text_of_part(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    text = part.get("text", part.get("refusal"))
    return f"[{part.get('type', 'part')}]" if text is None else str(text)


def readable(value: object) -> str:
    """JSON with line breaks, if it is JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def truncated(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[:MAX_TEXT_CHARS]}\n… and {len(text) - MAX_TEXT_CHARS:,} characters more"
