"""The part of a conversation that fits the model's context: the oldest is dropped first. Pure.

Sizes are estimates in tokens: a third of the bytes. The gate uses the same estimate, so that it
does not refuse a history that fits here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agents.runtime.loop.chat_messages import chat_messages
from agents.runtime.model.prompt_size import BYTES_PER_TOKEN, message_bytes
from agents.schema.items import FunctionCall, FunctionCallOutput, Item, Message, Summary
from inference.errors import ContextLengthExceeded

ANSWER_SHARE = 4
"""A request without a limit for its answer leaves 1/4 of the context to it."""

Size = Callable[[Item], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The items for the model, and the dropped ones; both in their order."""

    items: tuple[Item, ...]
    dropped: tuple[Item, ...]


def tokens_of(item: Item) -> int:
    """Return an estimate that text rarely exceeds.

    Approvals are 0, since models do not get them.
    """
    size = sum(map(message_bytes, chat_messages([item])))
    return -(-size // BYTES_PER_TOKEN)


def room_for_items(*, context_length: int, around: int, answer: int | None) -> int:
    """Return the tokens left for items. `around` are the tokens of instructions and tools."""
    reserved = context_length // ANSWER_SHARE if answer is None else answer
    return context_length - around - min(reserved, context_length // 2)


def is_instruction(item: Item) -> bool:
    """Return whether an item is included before the others: an instruction, or a summary."""
    return isinstance(item, Summary) or (
        isinstance(item, Message) and item.role in {"system", "developer"}
    )


def fit(
    items: Sequence[Item],
    *,
    room: int,
    size: Size = tokens_of,
    first: Callable[[Item], bool] = is_instruction,
) -> Fitted:
    """Return the items that fit into `room` tokens, the newest first, without gaps.

    Always included: the last message of the user, and the last item. Then come the items for which
    `first` is true, then the others. A tool call and its output are included or dropped together.
    An output without its call is dropped, since engines refuse conversations with one.
    Raises ContextLengthExceeded if the items that are always included do not fit.
    """
    blocks = blocks_of(items)
    sizes = [sum(size(items[place]) for place in block) for block in blocks]
    included = required_blocks(blocks, items)
    left = room - sum(sizes[each] for each in included)
    if left < 0:
        raise ContextLengthExceeded(param="input")
    preferred = [n for n, block in enumerate(blocks) if first(items[block[0]])]
    for candidates in (preferred, range(len(blocks))):
        left -= take_newest(candidates, included, sizes=sizes, left=left)
    places = {place for each in included for place in blocks[each]}
    return Fitted(
        items=tuple(item for place, item in enumerate(items) if place in places),
        dropped=tuple(item for place, item in enumerate(items) if place not in places),
    )


def newest(items: Sequence[Item], *, room: int, size: Size = tokens_of) -> tuple[Item, ...]:
    """Return the newest items that fit, without preferences."""
    blocks = blocks_of(items)
    sizes = [sum(size(items[place]) for place in block) for block in blocks]
    included: set[int] = set()
    take_newest(range(len(blocks)), included, sizes=sizes, left=room)
    return tuple(items[place] for each in sorted(included) for place in blocks[each])


def required_items(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return the items that are always included, whatever their size."""
    blocks = blocks_of(items)
    return tuple(
        items[place] for each in sorted(required_blocks(blocks, items)) for place in blocks[each]
    )


def take_newest(
    candidates: Iterable[int], included: set[int], *, sizes: Sequence[int], left: int
) -> int:
    """Add blocks to `included` from the end, up to the first that does not fit.

    Returns the tokens taken.
    """
    taken = 0
    for each in sorted(candidates, reverse=True):
        if each in included:
            continue
        if taken + sizes[each] > left:
            break
        included.add(each)
        taken += sizes[each]
    return taken


def required_blocks(blocks: Sequence[Sequence[int]], items: Sequence[Item]) -> set[int]:
    questions = [n for n, block in enumerate(blocks) if any(is_question(items[p]) for p in block)]
    return {*questions[-1:], *range(len(blocks))[-1:]}


def is_question(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def blocks_of(items: Sequence[Item]) -> list[list[int]]:
    """Indexes that stay together: from a call to the last output of the calls open with it.

    Outputs without a call are in no block.
    """
    answers = results_of(items)
    answered = set(answers.values())
    blocks: list[list[int]] = []
    end = 0
    for place, item in enumerate(items):
        if isinstance(item, FunctionCallOutput) and place not in answered:
            continue
        if place >= end:
            blocks.append([])
        end = max(end, place + 1, answers.get(place, place) + 1)
        blocks[-1].append(place)
    return blocks


def results_of(items: Sequence[Item]) -> dict[int, int]:
    """Maps the index of each call to that of its output. Models may use an id more than once."""
    places: dict[int, int] = {}
    open_calls: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall):
            open_calls[item.call_id] = place
        elif isinstance(item, FunctionCallOutput) and item.call_id in open_calls:
            places[open_calls.pop(item.call_id)] = place
    return places
