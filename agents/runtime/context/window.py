"""What of a conversation fits the model's context: the oldest goes first. Pure.

Sizes are estimates in tokens, a third of the bytes, as the gate reckons; so that the two agree a
history that fits here is not refused there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agents.runtime.model.token_estimate import BYTES_OF_A_TOKEN, message_bytes
from agents.schema.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Summary,
    chat_messages,
)
from inference.errors import ContextLengthExceeded

ANSWER_SHARE = 4
"""Where a request names no limit, a part of the context as large as 1/4 is left to the answer."""

Size = Callable[[Item], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What the model is told, and what it is not told any more; both in the order of time."""

    items: tuple[Item, ...]
    dropped: tuple[Item, ...]


def tokens_of(item: Item) -> int:
    """An estimate that text rarely exceeds. Approvals are not told to models."""
    size = sum(map(message_bytes, chat_messages([item])))
    return -(-size // BYTES_OF_A_TOKEN)


def room_for_items(*, context_length: int, around: int, answer: int | None) -> int:
    """Tokens left for what was said. `around` are those of instructions and tools."""
    least = context_length // ANSWER_SHARE if answer is None else answer
    return context_length - around - min(least, context_length // 2)


def is_instruction(item: Item) -> bool:
    """What is kept before the rest: it says how to behave, or what came before."""
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
    """As much as fits into `room` tokens, the newest first, without holes.

    Always kept: the last thing that the user said, and the last of all. After those comes what is
    meant by `first`, then the rest. A tool's call and its result are kept or dropped together, and
    a result whose call is gone is dropped: an engine would refuse the whole conversation for it.
    Raises ContextLengthExceeded if not even what is always kept fits.
    """
    blocks = blocks_of(items)
    sizes = [sum(size(items[place]) for place in block) for block in blocks]
    kept = always_kept(blocks, items)
    left = room - sum(sizes[each] for each in kept)
    if left < 0:
        raise ContextLengthExceeded(param="input")
    preferred = [n for n, block in enumerate(blocks) if first(items[block[0]])]
    for candidates in (preferred, range(len(blocks))):
        left -= take_newest(candidates, kept, sizes=sizes, left=left)
    places = {place for each in kept for place in blocks[each]}
    return Fitted(
        items=tuple(item for place, item in enumerate(items) if place in places),
        dropped=tuple(item for place, item in enumerate(items) if place not in places),
    )


def newest(items: Sequence[Item], *, room: int, size: Size = tokens_of) -> tuple[Item, ...]:
    """The end of `items` that fits, whatever is in it."""
    blocks = blocks_of(items)
    sizes = [sum(size(items[place]) for place in block) for block in blocks]
    kept: set[int] = set()
    take_newest(range(len(blocks)), kept, sizes=sizes, left=room)
    return tuple(items[place] for each in sorted(kept) for place in blocks[each])


def least(items: Sequence[Item]) -> tuple[Item, ...]:
    """What is always kept, whatever its size."""
    blocks = blocks_of(items)
    return tuple(
        items[place] for each in sorted(always_kept(blocks, items)) for place in blocks[each]
    )


def take_newest(
    candidates: Iterable[int], kept: set[int], *, sizes: Sequence[int], left: int
) -> int:
    """Add to `kept` from the end, up to the first that does not fit. Returns the tokens taken."""
    taken = 0
    for each in sorted(candidates, reverse=True):
        if each in kept:
            continue
        if taken + sizes[each] > left:
            break
        kept.add(each)
        taken += sizes[each]
    return taken


def always_kept(blocks: Sequence[Sequence[int]], items: Sequence[Item]) -> set[int]:
    asked = [n for n, block in enumerate(blocks) if any(is_question(items[p]) for p in block)]
    return {*asked[-1:], *range(len(blocks))[-1:]}


def is_question(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def blocks_of(items: Sequence[Item]) -> list[list[int]]:
    """Places that stay together: from a call to the last result of those that are open with it.

    Results whose call is not there are in none.
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
    """For each call that was answered, the place of the answer. Models use an id more than once."""
    places: dict[int, int] = {}
    open_calls: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall):
            open_calls[item.call_id] = place
        elif isinstance(item, FunctionCallOutput) and item.call_id in open_calls:
            places[open_calls.pop(item.call_id)] = place
    return places
