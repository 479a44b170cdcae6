"""Output items between their first and their last event."""

from collections.abc import Iterable, Sequence

import msgspec

from agents.events.event import Event
from agents.schema.items import (
    FunctionCall,
    InputAudio,
    InputImage,
    Item,
    Message,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
    Refusal,
)
from agents.schema.json_types import Json

ADDED = b"response.output_item.added"
DONE = b"response.output_item.done"
Piece = tuple[str, Json]
"""The type of an event, and its members apart from those that locate the item."""


class OpenItem:
    """A message, reasoning, or a call for the client, between `added` and `done`."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self._kind = ""
        """The type of the open part; empty if no part is open."""
        self._texts: list[str] = []
        self._parts: list[Part | ReasoningText] = []
        """The parts that are closed."""

    def add(self, kind: str, text: str) -> list[Piece]:
        """Append text to the part of this kind, which is opened if another one is open."""
        pieces = self._open_part(kind)
        self._texts.append(text)
        return [*pieces, self._piece(f"response.{kind}.delta", delta=text, **logprobs(kind))]

    def add_arguments(self, arguments: str) -> list[Piece]:
        self._texts.append(arguments)
        return [("response.function_call_arguments.delta", {"delta": arguments})]

    def end(self, item: Item) -> list[Piece]:
        """Return the events that are missing when the item is complete."""
        if isinstance(item, FunctionCall):
            deltas = [] if self._texts else self.add_arguments(item.arguments)
            fields = {"arguments": item.arguments, "name": item.name}
            return [*deltas, ("response.function_call_arguments.done", fields)]
        pieces: list[Piece] = []
        for part in contents_of(item)[self._count :]:
            if not isinstance(part, InputImage | InputAudio):
                pieces += self._whole(kind_of_part(part), part.text)
        return [*pieces, *self._close()]

    def as_incomplete_item(self) -> Item | None:
        """Return the item so far, with the status `incomplete`.

        None for types without that status.
        """
        text = "".join(self._texts)
        parts = [*self._parts, *([new_part(self._kind, text)] if self._kind else [])]
        match self.item:
            case Message():
                content = tuple(parts) or (OutputText(text=""),)
                return msgspec.structs.replace(self.item, content=content, status="incomplete")
            case Reasoning():
                return msgspec.structs.replace(self.item, content=tuple(parts), status="incomplete")
            case FunctionCall():
                return msgspec.structs.replace(self.item, arguments=text, status="incomplete")
            case _:
                return None

    @property
    def _count(self) -> int:
        """The number of parts, the open one included."""
        return len(self._parts) + bool(self._kind)

    def _whole(self, kind: str, text: str) -> list[Piece]:
        return self.add(kind, text) if text else self._open_part(kind)

    def _open_part(self, kind: str) -> list[Piece]:
        if kind == self._kind:
            return []
        closing = self._close()
        self._kind = kind
        return [*closing, self._piece("response.content_part.added", part=part_json(kind, ""))]

    def _close(self) -> list[Piece]:
        if not self._kind:
            return []
        kind, text = self._kind, "".join(self._texts)
        member = "refusal" if kind == "refusal" else "text"
        fields = {member: text, **logprobs(kind)}
        pieces = [
            self._piece(f"response.{kind}.done", **fields),
            self._piece("response.content_part.done", part=part_json(kind, text)),
        ]
        self._parts.append(new_part(kind, text))
        self._kind, self._texts = "", []
        return pieces

    def _piece(self, kind: str, **fields: object) -> Piece:
        return kind, {"content_index": len(self._parts), **fields}


def contents_of(item: Item) -> Sequence[Part | ReasoningText]:
    match item:
        case Message():
            return item.content
        case Reasoning():
            return item.content
        case _:
            return ()


def kind_of_part(part: Part | ReasoningText) -> str:
    return str(part.__struct_config__.tag)


def new_part(kind: str, text: str) -> OutputText | Refusal | ReasoningText:
    match kind:
        case "refusal":
            return Refusal(refusal=text)
        case "reasoning_text":
            return ReasoningText(text=text)
        case _:
            return OutputText(text=text)


def part_json(kind: str, text: str) -> Json:
    json: Json = msgspec.to_builtins(new_part(kind, text))
    return json


def logprobs(kind: str) -> Json:
    return {"logprobs": []} if kind == "output_text" else {}


class ItemFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the frames that begin and end an output item."""

    output_index: int
    item: Json


class StartedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An output item of which at least the beginning was published."""

    index: int
    json: Json
    is_done: bool


def started_items(events: Iterable[Event]) -> Sequence[StartedItem]:
    """Return the items that `events` start, by output index."""
    items: dict[int, StartedItem] = {}
    for event in events:
        if event.kind in (ADDED, DONE):
            frame = msgspec.json.decode(event.data, type=ItemFrame)
            items[frame.output_index] = StartedItem(
                index=frame.output_index, json=frame.item, is_done=event.kind == DONE
            )
    return [items[index] for index in sorted(items)]
