"""An item that comes piece by piece: what each piece is as an event, and what it has come to."""

from collections.abc import Sequence

import msgspec

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

Piece = tuple[str, Json]
"""The type of an event, and its members beside the place of the item."""


class OpenItem:
    """A message, reasoning, or a call of the client's, between `added` and `done`."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self._kind = ""
        """Of the part that is open."""
        self._texts: list[str] = []
        self._parts: list[Part | ReasoningText] = []
        """Those that are closed."""

    def add(self, kind: str, text: str) -> list[Piece]:
        """More text of the item's part of that kind."""
        pieces = self._turn_to(kind)
        self._texts.append(text)
        return [*pieces, self._piece(f"response.{kind}.delta", delta=text, **logprobs(kind))]

    def add_arguments(self, arguments: str) -> list[Piece]:
        self._texts.append(arguments)
        return [("response.function_call_arguments.delta", {"delta": arguments})]

    def end(self, item: Item) -> list[Piece]:
        """What is still to be told when the item is `item`."""
        if isinstance(item, FunctionCall):
            deltas = [] if self._texts else self.add_arguments(item.arguments)
            fields = {"arguments": item.arguments, "name": item.name}
            return [*deltas, ("response.function_call_arguments.done", fields)]
        pieces: list[Piece] = []
        for part in contents_of(item)[self._count :]:
            if not isinstance(part, InputImage | InputAudio):
                pieces += self._whole(kind_of_part(part), part.text)
        return [*pieces, *self._close()]

    def as_it_stands(self) -> Item | None:
        """The item without what is missing, and marked so; None if it has no such form."""
        said = "".join(self._texts)
        parts = [*self._parts, *([made_part(self._kind, said)] if self._kind else [])]
        match self.item:
            case Message():
                content = tuple(parts) or (OutputText(text=""),)
                return msgspec.structs.replace(self.item, content=content, status="incomplete")
            case Reasoning():
                return msgspec.structs.replace(self.item, content=tuple(parts), status="incomplete")
            case FunctionCall():
                return msgspec.structs.replace(self.item, arguments=said, status="incomplete")
            case _:
                return None

    @property
    def _count(self) -> int:
        """Parts that were begun."""
        return len(self._parts) + bool(self._kind)

    def _whole(self, kind: str, text: str) -> list[Piece]:
        return self.add(kind, text) if text else self._turn_to(kind)

    def _turn_to(self, kind: str) -> list[Piece]:
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
        self._parts.append(made_part(kind, text))
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


def made_part(kind: str, text: str) -> OutputText | Refusal | ReasoningText:
    match kind:
        case "refusal":
            return Refusal(refusal=text)
        case "reasoning_text":
            return ReasoningText(text=text)
        case _:
            return OutputText(text=text)


def part_json(kind: str, text: str) -> Json:
    json: Json = msgspec.to_builtins(made_part(kind, text))
    return json


def logprobs(kind: str) -> Json:
    return {"logprobs": []} if kind == "output_text" else {}
