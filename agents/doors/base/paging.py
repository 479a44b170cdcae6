"""Query parameters, and OpenAI's cursor pagination with its list object."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from agents.schema.history import PageRequest
from kernel.asgi import Scope
from kernel.errors import InvalidParameter

MAX_PAGE_ITEMS = 100
NUMBER = re.compile(r"[0-9]{1,4}")


def read_page(scope: Scope) -> PageRequest:
    """Read `after`, `limit` and `order`; other parameters are ignored. Raises InvalidParameter."""
    text = scope.get("query_string", b"").decode("latin-1")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    return PageRequest(
        after=read_after(parameters.get("after")),
        limit=read_limit(parameters.get("limit", "20")),
        newest_first=read_order(parameters.get("order", "desc")),
    )


def read_after(text: str | None) -> str | None:
    """Refuse NUL characters, which PostgreSQL cannot compare."""
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


def query_parameters(scope: Scope) -> dict[str, str]:
    """Return the last value of each parameter."""
    text = scope.get("query_string", b"").decode("latin-1")
    return {name: values[-1] for name, values in parse_qs(text).items()}


def integer_parameter(
    text: str | None, *, name: str, default: int, min_value: int, max_value: int
) -> int:
    """Return an integer parameter of the query string. Raises InvalidParameter."""
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not min_value <= int(text[:12]) <= max_value:
        raise InvalidParameter(f"`{name}` is a number from {min_value} to {max_value}.", param=name)
    return int(text)
