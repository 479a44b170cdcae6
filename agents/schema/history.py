"""What was said before a run, as the database hands it to the runtime."""

from typing import Any, Generic, TypeVar

import msgspec

from agents.schema.items import Item


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


class ConversationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as clients see it."""

    id: str
    created_at: int
    """Seconds since 1970."""
    metadata: dict[str, Any]
    agent: str = ""
    """The agent that it was begun with."""


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list, in the order that was asked for."""

    data: tuple[T, ...]
    has_more: bool


class PageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted: up to `limit` rows behind the one named `after`."""

    after: str | None = None
    limit: int = 20
    newest_first: bool = True
