"""Builds the context of a run: the history and the input that fit the context of its route."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.context.answered_items import answered_items
from agents.runtime.context.chat_request import chat_of, truncation_of
from agents.runtime.context.summarization import SUMMARY_SHARE, Context, Summarise, fit_context
from agents.runtime.context.window import required_items, room_for_items
from agents.runtime.loop.ports import StreamModel
from agents.runtime.model.prompt_size import prompt_bytes
from agents.schema.history import History
from agents.schema.items import Item
from agents.schema.run_request import RunRequest
from inference.errors import ContextLengthExceeded
from inference.relay.schema import ChatMessage, ChatRequest
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

MAX_BYTES_PER_TOKEN = 5
"""Texts have fewer bytes per token: a prompt with more certainly does not fit the context."""
TOO_LONG = (
    "The history and the input are longer than the model's context. Shorten them, or send "
    '`"truncation": "auto"`, which drops the oldest items.'
)
Estimate = Callable[[int], int]
"""Returns the number of tokens that a prompt of a size in bytes rarely exceeds on this route."""
StoreSummary = Callable[..., Awaitable[None]]


async def build_context(
    create: RunRequest,
    history: History,
    *,
    target: ResolvedModel,
    estimate: Estimate,
    stream_model: StreamModel,
    save_summary: StoreSummary,
) -> Sequence[Item]:
    """History and input. With `truncation: "auto"`, what does not fit is dropped, or summarized if
    the agent has that setting. Each call has an output, since engines refuse open calls.

    Raises ContextLengthExceeded if nothing may be dropped and all is certainly too long.

    Estimates are cautious: if the required items do not fit by them, they are sent alone, and the
    engine, which counts exactly, may refuse them (`context_length_exceeded`).
    """
    if truncation_of(create, agent=target.agent) == "disabled":
        return answered_items(
            full_context(create, history, context_length=target.route.context_length)
        )
    room = available_tokens(create, target=target, estimate=estimate)
    agent = target.agent
    sums_up = agent is not None and agent.overflow == "summarise" and history.conversation
    summarise = make_summarizer(create, room=room, stream_model=stream_model) if sums_up else None
    try:
        context = await fit_context(
            history=history.items, input_items=create.input, room=room, summarise=summarise
        )
    except ContextLengthExceeded:
        return answered_items(required_items([*history.items, *create.input]))
    await store_summary(context, history, save_summary)
    return answered_items(context.items)


def full_context(create: RunRequest, history: History, *, context_length: int) -> Sequence[Item]:
    """History and input, with nothing dropped. Raises ContextLengthExceeded if they certainly do
    not fit a context of this length; otherwise the engine decides.
    """
    items = [*history.items, *create.input]
    size = prompt_bytes(chat_of(msgspec.structs.replace(create, input=()), tuple(items)))
    if not history.is_whole or size > context_length * MAX_BYTES_PER_TOKEN:
        raise ContextLengthExceeded(TOO_LONG, param="input")
    return items


def available_tokens(create: RunRequest, *, target: ResolvedModel, estimate: Estimate) -> int:
    """Return the tokens for items: the context without instructions, tools and answer."""
    bare = apply_agent(chat_of(msgspec.structs.replace(create, input=()), ()), target.agent)
    return room_for_items(
        context_length=target.route.context_length,
        around=estimate(prompt_bytes(bare)),
        answer=bare.max_tokens or bare.max_completion_tokens,
    )


def make_summarizer(create: RunRequest, *, room: int, stream_model: StreamModel) -> Summarise:
    """Return a function that writes a summary, with a model call that counts like any other."""

    async def summarise(messages: list[ChatMessage]) -> str:
        request = ChatRequest(
            model=create.model,
            messages=messages,
            stream=True,
            max_tokens=max(1, room // SUMMARY_SHARE),
        )
        async with aclosing(stream_model(request)) as deltas:
            return "".join([delta.text async for delta in deltas])

    return summarise


async def store_summary(context: Context, history: History, save: StoreSummary) -> None:
    """Store a new summary. A failure is logged only: the next run writes the summary again."""
    if context.summary is None:
        return
    try:
        await save(
            conversation=history.conversation, summary=context.summary, through=context.through
        )
    except Overloaded as error:
        log.warning("context: summary not saved (error=%s)", error.code)
