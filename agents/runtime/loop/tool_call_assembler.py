"""Assembles tool calls from the deltas in which engines stream them. Pure.

Engines differ: the id comes once, or a new one with every delta; the index is missing, or 0 for
every call, or calls are interleaved in any order; names come complete or in pieces; arguments come
letter by letter, or at once, or are missing if they are empty.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from agents.runtime.loop.model_delta import ToolCallDelta
from agents.runtime.loop.tool_output import storable
from inference.relay.usage import UNREADABLE
from kernel.ids import new_public_id

CALL_ID_CHARS = 9
"""The length of generated call ids: the templates of some models refuse any other."""


@dataclass(slots=True)
class PartialCall:
    """A call while it is streamed."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""

    def may_have(self, index: int | None) -> bool:
        return index is None or self.index is None or self.index == index

    def accepts(self, piece: ToolCallDelta) -> bool:
        """Return whether a delta with a matching index, or without one, belongs to this call."""
        if piece.id and self.id and piece.id != self.id:
            # Some engines send a new id with every delta, but the name only once.
            return not piece.name
        if piece.name and self.name:
            return self.continues_name(piece)
        return True

    def continues_name(self, piece: ToolCallDelta) -> bool:
        """Return whether a second name, repeated or a rest, continues this call."""
        if piece.name == self.name:
            return not is_complete(self.arguments)
        return bool(self.id) and not self.arguments and piece.id in ("", self.id)

    def add(self, piece: ToolCallDelta) -> None:
        self.id = self.id or piece.id
        self.index = piece.index if self.index is None else self.index
        if piece.name != self.name:
            self.name += piece.name
        self.arguments += piece.arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledCall:
    """A complete tool call, as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolCallAssembler:
    """The tool calls of one response."""

    def __init__(self) -> None:
        self._slots: list[PartialCall] = []

    def add(self, piece: ToolCallDelta) -> None:
        self._slot_for(piece).add(piece)

    def __bool__(self) -> bool:
        return any(slot.name or slot.arguments for slot in self._slots)

    def _slot_for(self, piece: ToolCallDelta) -> PartialCall:
        """Return the call of a delta: the newest one with its index and id, or with its index,
        unless the delta starts another call.
        """
        same = [slot for slot in self._slots if slot.may_have(piece.index)]
        named = [slot for slot in same if piece.id and slot.id == piece.id]
        for slots in (named, same):
            if slots and slots[-1].accepts(piece):
                return slots[-1]
        slot = PartialCall(index=piece.index)
        self._slots.append(slot)
        return slot

    def calls(self, *, taken: Collection[str]) -> tuple[AssembledCall, ...]:
        """Return all calls in order. An id that is missing, or among those `taken`, is replaced."""
        used = set(taken)
        calls = []
        for slot in self._in_order():
            if not slot.name and not slot.arguments:
                continue
            given = storable(slot.id)
            call_id = given if given and given not in used else new_public_id(CALL_ID_CHARS)
            used.add(call_id)
            name, arguments = storable(slot.name), storable(slot.arguments)
            calls.append(AssembledCall(id=call_id, name=name, arguments=arguments))
        return tuple(calls)

    def _in_order(self) -> list[PartialCall]:
        """Sorted by index if every call has one, since they may come in any order."""
        if any(slot.index is None for slot in self._slots):
            return self._slots
        return sorted(self._slots, key=lambda slot: slot.index or 0)


def is_complete(arguments: str) -> bool:
    try:
        msgspec.json.decode(storable(arguments))
    except UNREADABLE:
        return False
    return True
