"""What a run tells the model of what was said before: as much as its route's context takes."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from agents.runtime.catalog.model_resolution import Target
from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.context.chat_request import chat_of
from agents.runtime.context.summarization import SUMMARY_SHARE, Context, Summarise, fit_context
from agents.runtime.context.window import least, room_for_items
from agents.runtime.execution.mapping import truncation_of
from agents.runtime.loop.pending_calls import answered_items
from agents.runtime.loop.ports import AskModel
from agents.runtime.model.token_estimate import prompt_bytes
from agents.schema.history import History
from agents.schema.items import Item
from agents.schema.run_request import RunRequest
from inference.errors import ContextLengthExceeded
from inference.relay.schema import ChatMessage, ChatRequest
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

MAX_BYTES_PER_TOKEN = 5
"""Of a usual text. More bytes than that for each token of a context do not fit it."""
TOO_LONG = (
    "The input and what was said before are longer than the model's context. Shorten them, or send "
    '`"truncation": "auto"`, which leaves out the oldest.'
)
Estimate = Callable[[int], int]
"""Tokens that a prompt of so many bytes will hardly exceed on this route."""
KeepSummary = Callable[..., Awaitable[None]]


async def build_context(
    create: RunRequest,
    history: History,
    *,
    target: Target,
    estimate: Estimate,
    ask: AskModel,
    keep_summary: KeepSummary,
) -> Sequence[Item]:
    """History and input. With `truncation: "auto"` without what does not fit; summed up, where the
    agent wants that. Each call has an output, as engines want it.

    Raises ContextLengthExceeded if nothing may be left out and all is certainly too long.

    Estimates are cautious: if not even the newest fits by them, it is sent alone, and the engine,
    which knows its own tokens, has the last word (`context_length_exceeded`).
    """
    if truncation_of(create, target) == "disabled":
        return answered_items(whole(create, history, context_length=target.route.context_length))
    room = available_tokens(create, target=target, estimate=estimate)
    agent = target.agent
    sums_up = agent is not None and agent.overflow == "summarise" and history.conversation
    summarise = make_summarizer(create, room=room, ask=ask) if sums_up else None
    try:
        context = await fit_context(
            history=history.items, brought=create.input, room=room, summarise=summarise
        )
    except ContextLengthExceeded:
        return answered_items(least([*history.items, *create.input]))
    await store_summary(context, history, keep_summary)
    return answered_items(context.items)


def whole(create: RunRequest, history: History, *, context_length: int) -> Sequence[Item]:
    """History and input, with nothing left out. Raises ContextLengthExceeded for what no model
    with this context takes; where that is not certain, the engine decides.
    """
    items = [*history.items, *create.input]
    size = prompt_bytes(chat_of(msgspec.structs.replace(create, input=()), tuple(items)))
    if not history.is_whole or size > context_length * MAX_BYTES_PER_TOKEN:
        raise ContextLengthExceeded(TOO_LONG, param="input")
    return items


def available_tokens(create: RunRequest, *, target: Target, estimate: Estimate) -> int:
    """Tokens for what was said: what instructions, tools and the answer leave of the context."""
    bare = apply_agent(chat_of(msgspec.structs.replace(create, input=()), ()), target.agent)
    return room_for_items(
        context_length=target.route.context_length,
        around=estimate(prompt_bytes(bare)),
        answer=bare.max_tokens or bare.max_completion_tokens,
    )


def make_summarizer(create: RunRequest, *, room: int, ask: AskModel) -> Summarise:
    """A model call of this run: admitted, counted and stopped as any other of it."""

    async def summarise(messages: list[ChatMessage]) -> str:
        request = ChatRequest(
            model=create.model,
            messages=messages,
            stream=True,
            max_tokens=max(1, room // SUMMARY_SHARE),
        )
        async with aclosing(ask(request)) as said:
            return "".join([piece.text async for piece in said])

    return summarise


async def store_summary(context: Context, history: History, keep_summary: KeepSummary) -> None:
    """A summary that is not kept is made again by the next run: that is no reason to fail."""
    if context.summary is None:
        return
    try:
        await keep_summary(
            conversation=history.conversation, summary=context.summary, through=context.through
        )
    except Overloaded as error:
        log.warning("context: summary not saved (error=%s)", error.code)
