"""Parsing of JSON bodies, which refuses values that cannot be stored."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import JSONParser

from kernel.errors import BodyTooLarge, InvalidJson, InvalidParameter

MAX_DEPTH = 100


class StorableJsonParser(JSONParser):
    """Parses JSON in UTF-8 of limited size and depth whose values can be stored.

    PostgreSQL stores neither NUL nor unpaired surrogates, in texts or in JSON, and JSON has no NaN.
    Raises BodyTooLarge, InvalidJson, or InvalidParameter with the path of the value.
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
    """Raise ValueError for NaN and Infinity, which Python accepts and JSON does not have."""
    raise ValueError(name)


def check_storable(body: Any) -> None:
    """Raise InvalidParameter with the path of the first value that cannot be stored."""
    place = next(unstorable_places(body), None)
    if place is not None:
        raise InvalidParameter(
            f"{place or 'The body'}: null characters, unpaired surrogates, NaN and infinite "
            "numbers are not allowed.",
            param=place or None,
        )


def unstorable_places(body: Any) -> Iterator[str]:
    """Yield the paths of values that cannot be stored, such as `scopes.0`. Raises InvalidJson."""
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
