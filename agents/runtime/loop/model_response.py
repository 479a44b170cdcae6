"""One turn of the model, heard to its end: words as they come, calls when they are whole."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Literal, TypeVar

import msgspec

from agents.runtime.loop.ports import ModelDelta
from agents.runtime.loop.tool_call_assembler import Call, ToolCallAssembler
from agents.runtime.loop.tool_output import storable
from agents.schema.items import (
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    Status,
    new_item_id,
)
from agents.schema.loop_events import (
    ArgumentsDelta,
    EmitEvent,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from tenants.admission.usage.records import Usage

Draft = TypeVar("Draft", "MessageDraft", "ReasoningDraft")


class RunTimeout(Exception):
    """The run has taken as long as it may."""


class MessageDraft:
    """A message as it grows: its parts in the order in which the model began them."""

    def __init__(self) -> None:
        self.id = new_item_id("message")
        self._parts: list[tuple[type[OutputText | Refusal], list[str]]] = []

    def add(self, kind: type[OutputText] | type[Refusal], text: str) -> None:
        if not self._parts or self._parts[-1][0] is not kind:
            self._parts.append((kind, []))
        self._parts[-1][1].append(text)

    def item(self, status: Status) -> Message:
        content = tuple(kind("".join(texts)) for kind, texts in self._parts)
        if not content and status != "in_progress":
            content = (OutputText(text=""),)
        return Message(id=self.id, role="assistant", content=content, status=status)


class ReasoningDraft:
    """What the model thinks, as it grows."""

    def __init__(self, member: Literal["reasoning_content", "reasoning", ""]) -> None:
        """`member` is where the engine tells it."""
        self.id = new_item_id("reasoning")
        self._member = member
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        self._texts.append(text)

    def item(self, status: Status) -> Reasoning:
        content = (ReasoningText(text="".join(self._texts)),) if self._texts else ()
        return Reasoning(id=self.id, content=content, status=status, member=self._member)


class ModelResponse:
    """Hears one answer. What the model thought, said and called are items once they are done."""

    def __init__(self, tell: EmitEvent) -> None:
        self._tell = tell
        self._assembly = ToolCallAssembler()
        self._begin = ""
        """White space that may be all: many models write some before a call."""
        self._draft: MessageDraft | ReasoningDraft | None = None
        self._done: list[Message | Reasoning] = []
        self.finish_reason: str | None = None
        self._usage: Usage | None = None
        self._pieces = 0

    async def hear(
        self, answer: AsyncGenerator[ModelDelta], *, seconds_left: Callable[[], float]
    ) -> None:
        """Take in the whole answer. Raises what it raises, and RunTimeout."""
        while (said := await next_delta(answer, seconds_left())) is not None:
            self._pieces += 1
            self.finish_reason = said.finish_reason or self.finish_reason
            self._usage = said.usage or self._usage
            for piece in said.calls:
                self._assembly.add(piece)
            if said.reasoning:
                await self._think(said)
            if said.text:
                await self._say(storable(said.text))
            if said.refusal:
                await self._refuse(storable(said.refusal))

    def used(self) -> Usage:
        """As the engine counted; if it was not heard to its end, at least what was seen."""
        return self._usage or Usage(completion_tokens=self._pieces, estimated=True)

    @property
    def has_calls(self) -> bool:
        return bool(self._assembly)

    async def _think(self, said: ModelDelta) -> None:
        draft, text = self._draft, storable(said.reasoning)
        if not isinstance(draft, ReasoningDraft):
            if not text.strip():
                return
            draft = await self._start(ReasoningDraft(said.reasoning_member))
        draft.add(text)
        await self._tell(ReasoningDelta(item_id=draft.id, text=text))

    async def _say(self, text: str) -> None:
        draft = self._draft
        if not isinstance(draft, MessageDraft):
            self._begin += text
            if not self._begin.strip():
                return
            draft, text, self._begin = await self._start(MessageDraft()), self._begin, ""
        draft.add(OutputText, text)
        await self._tell(TextDelta(item_id=draft.id, text=text))

    async def _refuse(self, text: str) -> None:
        draft = self._draft
        if not isinstance(draft, MessageDraft):
            draft = await self._start(MessageDraft())
        draft.add(Refusal, text)
        await self._tell(RefusalDelta(item_id=draft.id, text=text))

    async def _start(self, draft: Draft) -> Draft:
        await self._end("completed")
        self._draft = draft
        await self._tell(ItemStarted(item=draft.item("in_progress")))
        return draft

    async def _end(self, status: Status) -> None:
        if self._draft is not None:
            item, self._draft = self._draft.item(status), None
            self._done.append(item)
            await self._tell(ItemDone(item=item))

    async def close_words(
        self, status: Status, *, even_if_empty: bool
    ) -> tuple[Message | Reasoning, ...]:
        """What the model thought and said, as it stays; `even_if_empty` makes it a message at
        least. The last item has the status, since only that one can be cut.
        """
        has_message = isinstance(self._draft, MessageDraft) or any(
            isinstance(item, Message) for item in self._done
        )
        if even_if_empty and not has_message:
            await self._start(MessageDraft())
        await self._end(status)
        return tuple(self._done)

    async def close_calls(
        self, *, taken: Collection[str], only_one: bool, label_of: Callable[[str], str]
    ) -> tuple[FunctionCall, ...]:
        """The calls as items, told whole. `only_one`: calls may not be parallel. `label_of` says
        who executes a call of a tool; it is empty for the client.
        """
        calls = self._assembly.calls(taken=taken)[: 1 if only_one else None]
        return tuple([await self._tell_call(each, label_of(each.name)) for each in calls])

    async def _tell_call(self, call: Call, label: str) -> FunctionCall:
        item = FunctionCall(
            id=new_item_id("mcp_call" if label else "function_call"),
            call_id=call.id,
            name=call.name,
            arguments="",
            status="in_progress",
            server_label=label,
        )
        await self._tell(ItemStarted(item=item))
        await self._tell(ArgumentsDelta(item_id=item.id, arguments=call.arguments))
        done = msgspec.structs.replace(item, arguments=call.arguments, status="completed")
        await self._tell(ItemDone(item=done))
        return done


async def next_delta(answer: AsyncGenerator[ModelDelta], seconds: float) -> ModelDelta | None:
    """None at the end. Only the waiting is cut short, never the telling. Raises RunTimeout."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await anext(answer, None)
    except TimeoutError:
        if limit.expired():
            raise RunTimeout from None
        raise
