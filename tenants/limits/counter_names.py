"""Which counters belong to a quota. Pure: slots, scopes and counters are named by one rule."""

import re
from collections.abc import Collection, Iterable

from tenants.admission.limits.field_names import window_field


def counters_in(slot: str, counters: Iterable[str], *, slots: Collection[str]) -> list[str]:
    """Those of `counters` that a slot counts: all keys' or members', less those that have a slot
    of their own among `slots`.
    """
    head, _, period = slot.rpartition("|")
    pattern = counter_pattern(head)
    return [
        counter
        for counter in counters
        if pattern.fullmatch(counter) and (counter == head or f"{counter}|{period}" not in slots)
    ]


def counter_pattern(head: str) -> re.Pattern[str]:
    """`key|tokens` stands for `key:12|tokens` and all its like, `key:12|tokens` for itself."""
    owner, rest = head.split("|", 1)
    which = ":[0-9]+" if owner in {"key", "member"} else ""
    return re.compile(rf"{re.escape(owner)}{which}{re.escape('|' + rest)}")


def counters_of_owners(slot: str, owner_ids: Iterable[int]) -> list[str]:
    """Every counter of a slot, used or not, if it counts each of `owner_ids` by itself."""
    head, _, _ = slot.rpartition("|")
    owner, rest = head.split("|", 1)
    if owner not in {"key", "member"}:
        return [head]
    return [f"{owner}:{owner_id}|{rest}" for owner_id in owner_ids]


def held_field(counter: str, window: str) -> tuple[str, str]:
    """The scope and the field of its hash in Redis under which a counter's holds are summed."""
    scope, _, unit = counter.rpartition("|")
    return scope, f"h:{window_field(unit, window)}"


def left_over(*, limit: int, percent: int, granted: int, used: int, held: int) -> int:
    """What goes over into the next window: what is unused, but at most a share of the limit.

    What is held may still be used, in the window in which it was admitted.
    """
    return max(0, min(limit * percent // 100, limit + granted - used - held))
