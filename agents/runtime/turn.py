"""One turn of the model, heard to its end: its text as it comes, its calls when they are whole."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection

import msgspec

from agents.runtime.assembly import Assembly, Call
from agents.runtime.items import FunctionCall, Message, OutputText, Status, new_item_id
from agents.runtime.ports import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    Said,
    Tell,
    TextDelta,
)
from agents.runtime.tool_output import storable
from tenants.admission.usage import Usage


class OutOfTime(Exception):
    """The run has taken as long as it may."""


class Turn:
    """Hears one answer. Its message and its calls are items once they are done."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._assembly = Assembly()
        self._id = new_item_id("message")
        self._begin = ""
        """White space that may be all: many models write some before a call."""
        self._texts: list[str] = []
        self.finish_reason: str | None = None
        self._usage: Usage | None = None
        self._pieces = 0

    async def hear(
        self, answer: AsyncGenerator[Said], *, seconds_left: Callable[[], float]
    ) -> None:
        """Take in the whole answer. Raises what it raises, and OutOfTime."""
        while (said := await next_piece(answer, seconds_left())) is not None:
            self._pieces += 1
            self.finish_reason = said.finish_reason or self.finish_reason
            self._usage = said.usage or self._usage
            for piece in said.calls:
                self._assembly.add(piece)
            if said.text:
                await self._say(storable(said.text))

    def used(self) -> Usage:
        """As the engine counted; if it was not heard to its end, at least what was seen."""
        return self._usage or Usage(completion_tokens=self._pieces, estimated=True)

    @property
    def has_calls(self) -> bool:
        return bool(self._assembly)

    async def _say(self, text: str) -> None:
        if not self._texts:
            text = self._begin + text
            if not text.strip():
                self._begin = text
                return
            await self._start()
        self._texts.append(text)
        await self._tell(TextDelta(item_id=self._id, text=text))

    async def _start(self) -> None:
        await self._tell(ItemStarted(item=self._message("in_progress")))

    def _message(self, status: Status) -> Message:
        text = "".join(self._texts)
        content = (OutputText(text=text),) if text or status != "in_progress" else ()
        return Message(id=self._id, role="assistant", content=content, status=status)

    async def close_message(self, status: Status, *, even_if_empty: bool) -> Message | None:
        """The message as it stays; None if nothing was said."""
        if not self._texts:
            if not even_if_empty:
                return None
            await self._start()
        message = self._message(status)
        await self._tell(ItemDone(item=message))
        return message

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
            call_id=storable(call.id),
            name=storable(call.name),
            arguments="",
            status="in_progress",
            server_label=label,
        )
        await self._tell(ItemStarted(item=item))
        arguments = storable(call.arguments)
        await self._tell(ArgumentsDelta(item_id=item.id, arguments=arguments))
        done = msgspec.structs.replace(item, arguments=arguments, status="completed")
        await self._tell(ItemDone(item=done))
        return done


async def next_piece(answer: AsyncGenerator[Said], seconds: float) -> Said | None:
    """None at the end. Only the waiting is cut short, never the telling. Raises OutOfTime."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await anext(answer, None)
    except TimeoutError:
        if limit.expired():
            raise OutOfTime from None
        raise
