"""Histories, conversations and pages of them, as values between the database and the gateway."""

from typing import Any, Generic, TypeVar

import msgspec

from agents.schema.items import Item


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The items before a run, oldest first, and their conversation, if they have one.

    A summary replaces all items before those that follow it.
    """

    items: tuple[Item, ...] = ()
    conversation: str | None = None
    conversation_pk: int | None = None
    agent: str = ""
    """The agent that the conversation started with, and its `revision`."""
    revision: int | None = None
    version: int = 0
    """Grows with every change of the conversation's items."""
    is_whole: bool = True
    """Whether the items start with the first one, or with a summary of all before."""


class ConversationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as clients see it."""

    id: str
    created_at: int
    """Seconds since 1970."""
    metadata: dict[str, Any]
    agent: str = ""
    """The agent that the conversation started with."""


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list, in the requested order."""

    data: tuple[T, ...]
    has_more: bool


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page: up to `limit` rows after the one with the id `after`."""

    after: str | None = None
    limit: int = 20
    newest_first: bool = True
