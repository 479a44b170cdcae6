"""A conversation as people read it: who said what, with each tool call and its result folded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents.models.choices import ItemKind

MAX_TEXT_CHARS = 20_000
"""Characters of one entry; a page must open however much a tool answered."""
SAYERS = {
    "user": "User",
    "assistant": "Agent",
    "system": "Instructions",
    "developer": "Instructions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptItem:
    """An item as far as it is shown. Templates escape all of it."""

    kind: str
    public_id: str
    run: str
    body: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a transcript. What is folded has a heading and opens on a click."""

    who: str
    css: str
    text: str
    public_id: str
    run: str
    created_at: datetime
    heading: str = ""
    result: str | None = None
    call_id: str = ""


def transcript_of(items: Sequence[TranscriptItem]) -> list[Entry]:
    """The entries in the order of `items`; a result goes with its call if that is shown."""
    entries: list[Entry] = []
    for item in items:
        entry = entry_of(item)
        place = place_of_call(entries, item)
        if place is None:
            entries.append(entry)
        else:
            entries[place] = replace(entries[place], result=entry.text)
    return entries


def place_of_call(entries: Sequence[Entry], item: TranscriptItem) -> int | None:
    if item.kind != ItemKind.FUNCTION_CALL_OUTPUT:
        return None
    places = (
        place
        for place, entry in enumerate(entries)
        if entry.call_id and entry.call_id == item.body.get("call_id") and entry.result is None
    )
    return next(places, None)


def entry_of(item: TranscriptItem) -> Entry:
    body = item.body
    entry = Entry(
        who="", css="note", text="", public_id=item.public_id, run=item.run,
        created_at=item.created_at,
    )  # fmt: skip
    match item.kind:
        case ItemKind.MESSAGE:
            role = str(body.get("role"))
            return replace(entry, who=SAYERS.get(role, role), css=role, text=shown(text_of(body)))
        case ItemKind.FUNCTION_CALL:
            heading = f"Tool call: {body.get('name', '')}"
            call_id = str(body.get("call_id", ""))
            text = shown(readable(body.get("arguments")))
            return replace(
                entry, who="Agent", css="tool", heading=heading, text=text, call_id=call_id
            )
        case ItemKind.MCP_CALL:
            return executed_call(entry, body)
        case ItemKind.FUNCTION_CALL_OUTPUT:
            text = shown(readable_output(body.get("output", "")))
            return replace(entry, who="Tool", css="tool", heading="Tool result", text=text)
        case ItemKind.SUMMARY:
            heading = "Summary: the model is told this instead of what stands above"
            return replace(entry, heading=heading, text=shown(str(body.get("text", ""))))
        case _:
            heading = ItemKind(item.kind).label.capitalize()
            return replace(entry, heading=heading, text=shown(text_of(body) or readable(body)))


def executed_call(entry: Entry, body: dict[str, Any]) -> Entry:
    """A call that the agent executed, with its result."""
    error = body.get("error")
    result = f"Error: {error}" if error else readable_output(body.get("output") or "")
    return replace(
        entry,
        who="Agent",
        css="tool",
        heading=f"Tool call: {body.get('name', '')}",
        text=shown(readable(body.get("arguments"))),
        result=shown(result),
    )


def readable_output(output: Any) -> str:
    """Of a tool: a text, or parts."""
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


def shown(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[:MAX_TEXT_CHARS]}\n… and {len(text) - MAX_TEXT_CHARS:,} characters more"
