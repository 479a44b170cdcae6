"""Summarizes the items that do not fit the context any more, instead of dropping them."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agents.runtime.context.answered_items import answered_items
from agents.runtime.context.window import Size, fit, newest, tokens_of
from agents.runtime.loop.chat_messages import chat_messages
from agents.schema.items import Item, Summary, new_item_id
from inference.errors import ContextLengthExceeded
from inference.relay.schema import ChatMessage
from kernel.errors import Overloaded, UpstreamError

log = logging.getLogger(__name__)

Summarise = Callable[[list[ChatMessage]], Awaitable[str]]
"""Calls the model once and returns its text. Raises what a model call raises."""

SUMMARY_PREFIX = "Summary of the conversation so far:\n"
SUMMARY_PROMPT = (
    "Sum up the conversation above for yourself, so that you can go on without having read it. "
    "Keep names, numbers, decisions, what the user wants, and what is still open. "
    "Answer with the summary only."
)
SUMMARY_TARGET_SHARE = 2
"""After a summary the items take at most 1/2 of the room, so that the next runs need none."""
SUMMARY_SHARE = 8
"""A summary takes at most 1/8 of the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The items for the model, and the new summary, if one was written."""

    items: tuple[Item, ...]
    summary: Summary | None = None
    through: str | None = None
    """The id of the last item that the summary replaces."""


async def fit_context(
    *,
    history: Sequence[Item],
    input_items: Sequence[Item],
    room: int,
    summarise: Summarise | None = None,
    size: Size = tokens_of,
) -> Context:
    """History and input within `room` tokens. Without `summarise`, what does not fit is dropped.

    The caller must store a new summary. If the engine cannot write one, the items that it should
    replace are dropped. Raises ContextLengthExceeded.
    """
    items = [*history, *input_items]
    fitted = fit(items, room=room, size=size)
    if summarise is None or not fitted.dropped:
        return Context(items=fitted.items)
    old = items_to_summarize(items, known=len(history), room=room, size=size)
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


def items_to_summarize(
    items: Sequence[Item], *, known: int, room: int, size: Size
) -> tuple[Item, ...]:
    """Return the first items, which a summary should replace; only items of the history can be."""
    try:
        tight = fit(items, room=room // SUMMARY_TARGET_SHARE, size=size, first=lambda _: False)
    except ContextLengthExceeded:
        return ()
    included = {item.id for item in tight.items}
    first_included = next(place for place, item in enumerate(items) if item.id in included)
    return tuple(items[: min(first_included, known)])


def summary_request(old: Sequence[Item], *, room: int, size: Size) -> list[ChatMessage]:
    """Return the prompt for a summary: an earlier one, and the newest items that fit."""
    earlier = [item for item in old[:1] if isinstance(item, Summary)]
    left = room - sum(map(size, earlier))
    summed_up = [*earlier, *newest(old[len(earlier) :], room=left, size=size)]
    return [
        *chat_messages(answered_items(summed_up)),
        ChatMessage(role="user", content=SUMMARY_PROMPT),
    ]


def with_summary(
    items: Sequence[Item], *, old: Sequence[Item], text: str, room: int, size: Size
) -> Context | None:
    """Return the context with a new summary.

    None if the summary is empty, or longer than allowed.
    """
    rest = items[len(old) :]
    summary = Summary(id=new_item_id("tenantry:summary"), text=SUMMARY_PREFIX + text.strip())
    if not text.strip() or size(summary) > room // SUMMARY_SHARE:
        return None
    fitted = fit(rest, room=room - size(summary), size=size)
    return Context(items=(summary, *fitted.items), summary=summary, through=old[-1].id)
