"""Accumulates one streamed response: text is emitted as it comes, tool calls when complete."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Literal, TypeVar

import msgspec

from agents.runtime.loop.model_delta import ModelDelta
from agents.runtime.loop.tool_call_assembler import AssembledCall, ToolCallAssembler
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
    """The run has used its time."""


class MessageDraft:
    """A message while it is streamed: its parts in the order in which the model started them."""

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
    """The reasoning while it is streamed."""

    def __init__(self, member: Literal["reasoning_content", "reasoning", ""]) -> None:
        """`member` is the member of a chunk in which the engine writes it."""
        self.id = new_item_id("reasoning")
        self._member = member
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        self._texts.append(text)

    def item(self, status: Status) -> Reasoning:
        content = (ReasoningText(text="".join(self._texts)),) if self._texts else ()
        return Reasoning(id=self.id, content=content, status=status, member=self._member)


class ModelResponse:
    """One response of the model. Reasoning, messages and tool calls become items when complete."""

    def __init__(self, emit: EmitEvent) -> None:
        self._emit = emit
        self._assembly = ToolCallAssembler()
        self._begin = ""
        """White space at the beginning: many models write some before a call, and nothing else."""
        self._draft: MessageDraft | ReasoningDraft | None = None
        self._done: list[Message | Reasoning] = []
        self.finish_reason: str | None = None
        self._usage: Usage | None = None
        self._pieces = 0

    async def consume(
        self, answer: AsyncGenerator[ModelDelta], *, seconds_left: Callable[[], float]
    ) -> None:
        """Consume the whole response. Raises what it raises, and RunTimeout."""
        while (delta := await next_delta(answer, seconds_left())) is not None:
            self._pieces += 1
            self.finish_reason = delta.finish_reason or self.finish_reason
            self._usage = delta.usage or self._usage
            for piece in delta.calls:
                self._assembly.add(piece)
            if delta.reasoning:
                await self._add_reasoning(delta)
            if delta.text:
                await self._add_text(storable(delta.text))
            if delta.refusal:
                await self._add_refusal(storable(delta.refusal))

    def usage(self) -> Usage:
        """Return the engine's usage; an estimate if the response was not consumed to its end."""
        return self._usage or Usage(completion_tokens=self._pieces, estimated=True)

    @property
    def has_calls(self) -> bool:
        return bool(self._assembly)

    async def _add_reasoning(self, delta: ModelDelta) -> None:
        draft, text = self._draft, storable(delta.reasoning)
        if not isinstance(draft, ReasoningDraft):
            if not text.strip():
                return
            draft = await self._start(ReasoningDraft(delta.reasoning_member))
        draft.add(text)
        await self._emit(ReasoningDelta(item_id=draft.id, text=text))

    async def _add_text(self, text: str) -> None:
        draft = self._draft
        if not isinstance(draft, MessageDraft):
            self._begin += text
            if not self._begin.strip():
                return
            draft, text, self._begin = await self._start(MessageDraft()), self._begin, ""
        draft.add(OutputText, text)
        await self._emit(TextDelta(item_id=draft.id, text=text))

    async def _add_refusal(self, text: str) -> None:
        draft = self._draft
        if not isinstance(draft, MessageDraft):
            draft = await self._start(MessageDraft())
        draft.add(Refusal, text)
        await self._emit(RefusalDelta(item_id=draft.id, text=text))

    async def _start(self, draft: Draft) -> Draft:
        await self._end("completed")
        self._draft = draft
        await self._emit(ItemStarted(item=draft.item("in_progress")))
        return draft

    async def _end(self, status: Status) -> None:
        if self._draft is not None:
            item, self._draft = self._draft.item(status), None
            self._done.append(item)
            await self._emit(ItemDone(item=item))

    async def finish_message(
        self, status: Status, *, even_if_empty: bool
    ) -> tuple[Message | Reasoning, ...]:
        """Return the reasoning and messages as items.

        `even_if_empty` adds an empty message if there is none. The last item gets `status`, since
        only that one can be cut.
        """
        has_message = isinstance(self._draft, MessageDraft) or any(
            isinstance(item, Message) for item in self._done
        )
        if even_if_empty and not has_message:
            await self._start(MessageDraft())
        await self._end(status)
        return tuple(self._done)

    async def finish_tool_calls(
        self, *, taken: Collection[str], only_one: bool, label_of: Callable[[str], str]
    ) -> tuple[FunctionCall, ...]:
        """Return the tool calls as items.

        `only_one`: calls may not be parallel. `label_of` returns the label of the agent that
        executes a tool; it is empty for a tool of the client.
        """
        calls = self._assembly.calls(taken=taken)[: 1 if only_one else None]
        return tuple([await self._emit_call(each, label_of(each.name)) for each in calls])

    async def _emit_call(self, call: AssembledCall, label: str) -> FunctionCall:
        item = FunctionCall(
            id=new_item_id("mcp_call" if label else "function_call"),
            call_id=call.id,
            name=call.name,
            arguments="",
            status="in_progress",
            server_label=label,
        )
        await self._emit(ItemStarted(item=item))
        await self._emit(ArgumentsDelta(item_id=item.id, arguments=call.arguments))
        done = msgspec.structs.replace(item, arguments=call.arguments, status="completed")
        await self._emit(ItemDone(item=done))
        return done


async def next_delta(answer: AsyncGenerator[ModelDelta], seconds: float) -> ModelDelta | None:
    """Return the next delta.

    None at the end. Only the wait is limited in time. Raises RunTimeout.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            return await anext(answer, None)
    except TimeoutError:
        if limit.expired():
            raise RunTimeout from None
        raise
