"""A run of a single turn: the model is asked once. Its rim is the agent loop's."""

from collections.abc import Iterable
from contextlib import aclosing

from agents.runtime.items import FunctionCall, Item, Message, OutputText, Status
from agents.runtime.ports import (
    ArgumentsDelta,
    AskModel,
    CallPiece,
    Ended,
    ItemDone,
    ItemStarted,
    Plan,
    Progress,
    Reason,
    Tell,
    TextDelta,
)
from kernel.ids import new_id
from tenants.admission.usage import Usage

LIMITS: dict[str, Reason] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons for which an answer is incomplete, as Open Responses names them."""


class Turn:
    """What the model has said in one turn."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._texts: list[str] = []
        self._message: Message | None = None
        self._calls: dict[int, list[CallPiece]] = {}
        self.finish_reason: str | None = None
        self.usage = Usage()

    async def said(self, text: str) -> None:
        if self._message is None:
            self._message = Message(id=new_id("msg"), role="assistant", content=())
            await self._tell(ItemStarted(item=self._message))
        self._texts.append(text)
        await self._tell(TextDelta(item_id=self._message.id, text=text))

    def called(self, pieces: Iterable[CallPiece]) -> None:
        for piece in pieces:
            place = len(self._calls) if piece.index is None else piece.index
            self._calls.setdefault(place, []).append(piece)

    async def end(self, *, status: Status) -> tuple[Item, ...]:
        """Tell what is complete now. Calls are buffered: they are told whole."""
        items: list[Item] = []
        if self._message is not None:
            content = (OutputText(text="".join(self._texts)),)
            items.append(
                Message(id=self._message.id, role="assistant", content=content, status=status)
            )
            await self._tell(ItemDone(item=items[0]))
        for pieces in self._calls.values():
            call = whole_call(pieces)
            await self._tell(ItemStarted(item=call))
            await self._tell(ArgumentsDelta(item_id=call.id, arguments=call.arguments))
            await self._tell(ItemDone(item=call))
            items.append(call)
        return tuple(items)


def whole_call(pieces: Iterable[CallPiece]) -> FunctionCall:
    pieces = list(pieces)
    return FunctionCall(
        id=new_id("fc"),
        call_id=next((piece.id for piece in pieces if piece.id), "") or new_id("call"),
        name="".join(piece.name for piece in pieces),
        arguments="".join(piece.arguments for piece in pieces),
    )


async def single_turn(plan: Plan, *, ask: AskModel, tell: Tell) -> Ended:
    """Ask the model once, and tell what it says. Raises what `ask` raises."""
    turn = Turn(tell)
    async with aclosing(ask(plan.request)) as pieces:
        async for said in pieces:
            turn.finish_reason = said.finish_reason or turn.finish_reason
            turn.usage = said.usage or turn.usage
            if said.text:
                await turn.said(said.text)
            turn.called(said.calls)
    reason = LIMITS.get(turn.finish_reason or "")
    items = await turn.end(status="incomplete" if reason else "completed")
    return Ended(
        state="incomplete" if reason else "completed",
        progress=progress_of(turn.usage),
        items=items,
        unsaved=items,
        reason=reason,
        client_calls=tuple(item for item in items if isinstance(item, FunctionCall)),
    )


def progress_of(usage: Usage) -> Progress:
    return Progress(
        steps=1,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )
