"""Reads JSON bodies, and refuses what no table can store."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import JSONParser

from kernel.errors import BodyTooLarge, InvalidJson, InvalidParameter

MAX_DEPTH = 100


class StorableJsonParser(JSONParser):
    """JSON in UTF-8, within a size and a depth, of characters and numbers that can be stored.

    PostgreSQL stores neither NUL nor half of a surrogate pair, in no text and in no JSON, and
    JSON has no NaN. Raises BodyTooLarge, InvalidJson, or InvalidParameter with the place.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        max_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(max_bytes + 1)
        if len(raw) > max_bytes:
            raise BodyTooLarge
        try:
            body = json.loads(raw.decode(), parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidJson from error
        check_storable(body)
        return body


def refuse_constant(name: str) -> float:
    """Raises ValueError: what Python reads as NaN and Infinity is no JSON."""
    raise ValueError(name)


def check_storable(body: Any) -> None:
    """Raises InvalidParameter with the place of the first value that cannot be stored."""
    place = next(unstorable_places(body), None)
    if place is not None:
        raise InvalidParameter(
            f"{place or 'The body'}: null characters, halves of surrogate pairs, NaN and infinite "
            "numbers are not allowed.",
            param=place or None,
        )


def unstorable_places(body: Any) -> Iterator[str]:
    """Where values stand that cannot be stored, as `scopes.0`. Raises InvalidJson if too deep."""
    waiting: list[tuple[str, int, Any]] = [("", 0, body)]
    while waiting:
        place, depth, value = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidJson
        if not is_storable(value):
            yield place
        parts: Iterator[tuple[object, Any]] = iter(())
        if isinstance(value, dict):
            if not all(map(is_storable, value)):
                yield place
                return
            parts = iter(value.items())
        elif isinstance(value, list):
            parts = iter(enumerate(value))
        waiting += [(f"{place}.{name}".lstrip("."), depth + 1, each) for name, each in parts]


def is_storable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
