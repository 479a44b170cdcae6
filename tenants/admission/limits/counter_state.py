"""The state of a quota counter in one window, and the names of its fields in Redis."""

import msgspec


class CounterState(msgspec.Struct, frozen=True, kw_only=True):
    """A counter in one window, from PostgreSQL. Only a newer version replaces Redis' copy."""

    tenant_id: int
    counter: str
    window: str
    used: int = 0
    granted: int = 0
    """Top-ups plus roll-over, which are added to the limit."""
    version: int = 0


def window_field(unit: str, window: str) -> str:
    """Return the common suffix of a window's fields in Redis (`u:`, `v:`, `g:` and `h:`)."""
    return f"{unit}:{window}"
