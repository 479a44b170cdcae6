"""Lists at the doors: which page is asked for, and how it is answered (OpenAI's cursor paging)."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from agents.schema.history import PageQuestion
from kernel.asgi import Scope
from kernel.errors import InvalidParameter

MAX_PAGE_ITEMS = 100
NUMBER = re.compile(r"[0-9]{1,4}")


def read_page(scope: Scope) -> PageQuestion:
    """What `after`, `limit` and `order` ask for; others are ignored. Raises InvalidParameter."""
    text = scope.get("query_string", b"").decode("latin-1")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    return PageQuestion(
        after=read_after(parameters.get("after")),
        limit=read_limit(parameters.get("limit", "20")),
        newest_first=read_order(parameters.get("order", "desc")),
    )


def read_after(text: str | None) -> str | None:
    """PostgreSQL would refuse to compare a NUL."""
    if text is not None and "\x00" in text:
        raise InvalidParameter("`after` is the id of the last object you have.", param="after")
    return text or None


def read_limit(text: str) -> int:
    limit = int(text) if NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_PAGE_ITEMS:
        raise InvalidParameter(f"`limit` is 1 to {MAX_PAGE_ITEMS}.", param="limit")
    return limit


def read_order(text: str) -> bool:
    if text not in {"asc", "desc"}:
        raise InvalidParameter("`order` is asc or desc.", param="order")
    return text == "desc"


def render_page(rows: Iterable[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    data = list(rows)
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }
