"""Tool calls put together from the pieces in which engines stream them. Pure.

vLLM and others differ: the id comes only once, or anew with every piece; the index is missing, or 0
for every call, or the calls are interleaved in any order; names come whole or in pieces; arguments
come letter by letter, or all at once, and for no arguments not at all.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from agents.runtime.loop.ports import ToolCallDelta
from agents.runtime.loop.tool_output import storable
from inference.relay.usage import UNREADABLE
from kernel.ids import new_public_id

LENGTH_OF_ID = 9
"""Of an id of ours: the templates of some models refuse any other length."""


@dataclass(slots=True)
class PartialCall:
    """A call that may still grow."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""

    def may_have(self, index: int | None) -> bool:
        return index is None or self.index is None or self.index == index

    def takes(self, piece: ToolCallDelta) -> bool:
        """Whether a piece that does not say so by its index belongs here."""
        if piece.id and self.id and piece.id != self.id:
            # Some send a new id with every piece, but the name of a call only once.
            return not piece.name
        if piece.name and self.name:
            return self.goes_on_with(piece)
        return True

    def goes_on_with(self, piece: ToolCallDelta) -> bool:
        """Whether a second name is no second call: it is the same, or the rest of the first."""
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
class Call:
    """What the model wants called, as it said so."""

    id: str
    name: str
    arguments: str


class ToolCallAssembler:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._slots: list[PartialCall] = []

    def add(self, piece: ToolCallDelta) -> None:
        self._slot_for(piece).add(piece)

    def __bool__(self) -> bool:
        return any(slot.name or slot.arguments for slot in self._slots)

    def _slot_for(self, piece: ToolCallDelta) -> PartialCall:
        """Where the piece belongs: the newest call of its index and id, or of its index, unless it
        begins another one.
        """
        same = [slot for slot in self._slots if slot.may_have(piece.index)]
        named = [slot for slot in same if piece.id and slot.id == piece.id]
        for slots in (named, same):
            if slots and slots[-1].takes(piece):
                return slots[-1]
        slot = PartialCall(index=piece.index)
        self._slots.append(slot)
        return slot

    def calls(self, *, taken: Collection[str]) -> tuple[Call, ...]:
        """All calls in order, each under an id that is not among those `taken`."""
        used = set(taken)
        calls = []
        for slot in self._in_order():
            if not slot.name and not slot.arguments:
                continue
            given = storable(slot.id)
            call_id = given if given and given not in used else new_public_id(LENGTH_OF_ID)
            used.add(call_id)
            name, arguments = storable(slot.name), storable(slot.arguments)
            calls.append(Call(id=call_id, name=name, arguments=arguments))
        return tuple(calls)

    def _in_order(self) -> list[PartialCall]:
        """By the index, where every call has one: they may come in any order."""
        if any(slot.index is None for slot in self._slots):
            return self._slots
        return sorted(self._slots, key=lambda slot: slot.index or 0)


def is_complete(arguments: str) -> bool:
    try:
        msgspec.json.decode(storable(arguments))
    except UNREADABLE:
        return False
    return True
