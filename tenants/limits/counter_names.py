"""Matching of counters to quotas by the names of slots, scopes and counters. Pure."""

import re
from collections.abc import Collection, Iterable

from tenants.admission.limits.counter_state import window_field


def counters_in(slot: str, counters: Iterable[str], *, slots: Collection[str]) -> list[str]:
    """Return the members of `counters` that belong to a slot.

    A slot for all keys or members excludes the keys or members with a slot of their own in `slots`.
    """
    head, _, period = slot.rpartition("|")
    pattern = counter_pattern(head)
    return [
        counter
        for counter in counters
        if pattern.fullmatch(counter) and (counter == head or f"{counter}|{period}" not in slots)
    ]


def counter_pattern(head: str) -> re.Pattern[str]:
    """Return the pattern of a slot's counters.

    `key|tokens` matches the counters of every key, `key:12|tokens` only itself.
    """
    owner, rest = head.split("|", 1)
    which = ":[0-9]+" if owner in {"key", "member"} else ""
    return re.compile(rf"{re.escape(owner)}{which}{re.escape('|' + rest)}")


def counters_of_owners(slot: str, owner_ids: Iterable[int]) -> list[str]:
    """Return the counters of a slot: one for each of `owner_ids`, or one of the tenant."""
    head, _, _ = slot.rpartition("|")
    owner, rest = head.split("|", 1)
    if owner not in {"key", "member"}:
        return [head]
    return [f"{owner}:{owner_id}|{rest}" for owner_id in owner_ids]


def held_field(counter: str, window: str) -> tuple[str, str]:
    """Return the scope, and the field in its Redis hash, of the sum of a counter's holds."""
    scope, _, unit = counter.rpartition("|")
    return scope, f"h:{window_field(unit, window)}"


def left_over(*, limit: int, percent: int, granted: int, used: int, held: int) -> int:
    """Return the amount that rolls over: the unused rest, at most `percent` of the limit.

    Held amounts do not roll over: their requests are charged to the window of their admission.
    """
    return max(0, min(limit * percent // 100, limit + granted - used - held))
