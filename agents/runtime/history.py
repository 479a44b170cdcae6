"""What was said before a run, as the database hands it to the runtime."""

import msgspec

from agents.runtime.items import Item


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Items, oldest first, and the conversation that they are kept in, if any.

    A summary stands for everything that was said before the items that follow it.
    """

    items: tuple[Item, ...] = ()
    conversation: str | None = None
    conversation_pk: int | None = None
    agent: str = ""
    """The agent that the conversation was begun with, and the revision it stays with."""
    revision: int | None = None
    version: int = 0
    """Grows with every change of the conversation's items."""
    is_whole: bool = True
    """Whether it goes back to the first item, or to a summary of all before."""


class KeptItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as clients list it."""

    item: Item
    created_at: int
    """Seconds since 1970."""
