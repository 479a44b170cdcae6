"""Summing up what does not fit the context any more, instead of forgetting it."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agents.runtime.context.window import Size, fit, newest, tokens_of
from agents.runtime.loop.pending_calls import answered_items
from agents.schema.items import Item, Summary, chat_messages, new_item_id
from inference.errors import ContextLengthExceeded
from inference.relay.schema import ChatMessage
from kernel.errors import Overloaded, UpstreamError

log = logging.getLogger(__name__)

Summarise = Callable[[list[ChatMessage]], Awaitable[str]]
"""Asks the model once, and answers what it says. Raises what a model call raises."""

BEGINS = "Summary of the conversation so far:\n"
ASKS = (
    "Sum up the conversation above for yourself, so that you can go on without having read it. "
    "Keep names, numbers, decisions, what the user wants, and what is still open. "
    "Answer with the summary only."
)
KEPT_SHARE = 2
"""A summary makes half of the context free, so that the next turns need no other one."""
SUMMARY_SHARE = 8
"""A summary may take up to 1/8 of the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the model is told; with a new summary, if one was made of all up to `through`."""

    items: tuple[Item, ...]
    summary: Summary | None = None
    through: str | None = None
    """The id of the last item that the summary stands for."""


async def fit_context(
    *,
    history: Sequence[Item],
    brought: Sequence[Item],
    room: int,
    summarise: Summarise | None = None,
    size: Size = tokens_of,
) -> Context:
    """History and input within `room` tokens. `summarise` None leaves out what does not fit.

    A new summary is to be kept by the caller. Where the engine cannot make one, what it should
    have told is left out. Raises ContextLengthExceeded.
    """
    items = [*history, *brought]
    fitted = fit(items, room=room, size=size)
    if summarise is None or not fitted.dropped:
        return Context(items=fitted.items)
    old = worth_a_summary(items, known=len(history), room=room, size=size)
    if not old:
        return Context(items=fitted.items)
    try:
        text = await summarise(summary_request(old, room=room, size=size))
    except (UpstreamError, Overloaded) as error:
        log.warning(
            "context: summary failed, conversation truncated instead (error=%s)", error.code
        )
        return Context(items=fitted.items)
    return with_summary(items, old=old, text=text, room=room, size=size) or Context(
        items=fitted.items
    )


def worth_a_summary(
    items: Sequence[Item], *, known: int, room: int, size: Size
) -> tuple[Item, ...]:
    """The beginning that a summary is to stand for; only items of the history can be left out."""
    try:
        tight = fit(items, room=room // KEPT_SHARE, size=size, first=lambda _: False)
    except ContextLengthExceeded:
        return ()
    kept = {item.id for item in tight.items}
    first_kept = next(place for place, item in enumerate(items) if item.id in kept)
    return tuple(items[: min(first_kept, known)])


def summary_request(old: Sequence[Item], *, room: int, size: Size) -> list[ChatMessage]:
    """What the model is asked: an earlier summary first, and of the rest the newest that fits."""
    earlier = [item for item in old[:1] if isinstance(item, Summary)]
    left = room - sum(map(size, earlier))
    summed_up = [*earlier, *newest(old[len(earlier) :], room=left, size=size)]
    return [*chat_messages(answered_items(summed_up)), ChatMessage(role="user", content=ASKS)]


def with_summary(
    items: Sequence[Item], *, old: Sequence[Item], text: str, room: int, size: Size
) -> Context | None:
    """None if the model said nothing, or more than fits."""
    rest = items[len(old) :]
    summary = Summary(id=new_item_id("tenantry:summary"), text=BEGINS + text.strip())
    if not text.strip() or size(summary) > room // SUMMARY_SHARE:
        return None
    fitted = fit(rest, room=room - size(summary), size=size)
    return Context(items=(summary, *fitted.items), summary=summary, through=old[-1].id)
