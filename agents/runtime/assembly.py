"""Tool calls put together from the pieces in which engines stream them. Pure.

vLLM and others differ: the id comes only once, or anew with every piece; the index is missing, or 0
for every call; arguments come letter by letter, or all at once, and for no arguments not at all.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from agents.runtime.ports import CallPiece
from inference.relay.usage import UNREADABLE
from kernel.ids import new_public_id

LENGTH_OF_ID = 9
"""Of an id of ours: the templates of some models refuse any other length."""


@dataclass(slots=True)
class Slot:
    """A call that may still grow."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""

    def takes(self, piece: CallPiece) -> bool:
        """Whether a piece that does not say so by its index belongs here."""
        if piece.id and self.id and piece.id != self.id:
            # Some send a new id with every piece, but the name of a call only once.
            return not piece.name
        if piece.name and self.name:
            return piece.name == self.name and not is_complete(self.arguments)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the model wants called, as it said so."""

    id: str
    name: str
    arguments: str


class Assembly:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []

    def add(self, piece: CallPiece) -> None:
        slot = self._slot_for(piece)
        slot.id = slot.id or piece.id
        slot.name = slot.name or piece.name
        slot.arguments += piece.arguments

    def __bool__(self) -> bool:
        return any(slot.name or slot.arguments for slot in self._slots)

    def _slot_for(self, piece: CallPiece) -> Slot:
        """Where the piece belongs: the newest call of its index, unless it begins another one."""
        same = [slot for slot in self._slots if piece.index is None or slot.index == piece.index]
        if same and same[-1].takes(piece):
            return same[-1]
        slot = Slot(index=piece.index)
        self._slots.append(slot)
        return slot

    def calls(self, *, taken: Collection[str]) -> tuple[Call, ...]:
        """All calls in order, each under an id that is not among those `taken`."""
        used = set(taken)
        calls = []
        for slot in self._slots:
            if not slot.name and not slot.arguments:
                continue
            name = slot.id if slot.id and slot.id not in used else new_public_id(LENGTH_OF_ID)
            used.add(name)
            calls.append(Call(id=name, name=slot.name, arguments=slot.arguments))
        return tuple(calls)


def is_complete(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments)
    except UNREADABLE:
        return False
    return True
