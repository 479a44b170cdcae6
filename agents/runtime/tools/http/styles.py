"""Serializes values into a request, in the styles of OpenAPI 3, which are RFC 6570's. Pure.

Every name and value is quoted by itself, so that a value cannot add a name or another value.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from agents.runtime.tools.http.parameters import Parameter, is_json

DELIMITERS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
RESERVED_IN_VALUES = ":/?@!$'()*,;="
"""Characters that `allowReserved` leaves as they are. Not `#`, `[`, `]`, `&` and `+`: they would
end the value or change its meaning."""
MAX_DEPTH = 10

Quote = Callable[[str], str]


def text_of(value: Any) -> str:
    """Return the value as text: `true` for True, JSON for objects and lists."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return msgspec.json.encode(value).decode()


def quoted(text: str) -> str:
    return quote(text, safe="")


def quoted_except_reserved(text: str) -> str:
    return quote(text, safe=RESERVED_IN_VALUES)


def unquoted(text: str) -> str:
    return text


def without_nulls(value: Any) -> list[Any]:
    """Return the elements of a list that are not null."""
    return [each for each in value if each is not None]


def members(value: Any) -> list[tuple[str, Any]]:
    """Return the members of an object that are not null."""
    return [(str(name), each) for name, each in value.items() if each is not None]


def write_pairs(parameter: Parameter, value: Any) -> list[str]:
    """Return quoted `name=value` pairs for a query, a form or a cookie; empty if none is sent."""
    name = parameter.wire_name
    # In a cookie a `;` would start another one, even if the document allows it.
    allows_reserved = parameter.allow_reserved and parameter.place != "cookie"
    as_text = quoted_except_reserved if allows_reserved else quoted
    if parameter.content:
        return [f"{quoted(name)}={as_text(content_of(parameter.content, value))}"]
    if value is None:
        return []
    if parameter.wire_style == "deepObject" and isinstance(value, dict):
        return [f"{quoted(path)}={as_text(text_of(leaf))}" for path, leaf in leaves(name, value)]
    if not isinstance(value, list | dict):
        return [f"{quoted(name)}={as_text(text_of(value))}"]
    if parameter.is_exploded or parameter.wire_style == "deepObject":
        pairs = (
            members(value)
            if isinstance(value, dict)
            else [(name, each) for each in without_nulls(value)]
        )
        return [f"{quoted(key)}={as_text(text_of(each))}" for key, each in pairs]
    parts = flat(value, as_text)
    return [f"{quoted(name)}={DELIMITERS[parameter.wire_style].join(parts)}"] if parts else []


def leaves(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield `name[a][b]` with each value; a list yields its name once per element."""
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, each in members(value):
            yield from leaves(f"{name}[{key}]", each, depth + 1)
    elif isinstance(value, list):
        yield from ((name, each) for each in without_nulls(value))
    elif value is not None:
        yield name, value


def flat(value: Any, as_text: Quote) -> list[str]:
    """Return the elements of a list, or the names and values of an object in turn, quoted."""
    if isinstance(value, dict):
        return [as_text(text_of(part)) for pair in members(value) for part in pair]
    return [as_text(text_of(each)) for each in without_nulls(value)]


def write_segment(parameter: Parameter, value: Any) -> str:
    """Return the quoted text of a parameter in a path."""
    as_text = reserved_in_path if parameter.allow_reserved else quoted
    if parameter.content:
        return as_text(content_of(parameter.content, value))
    match parameter.wire_style:
        case "label":
            return "." + simple(value, as_text, explode=parameter.is_exploded, separator=".")
        case "matrix":
            return matrix(quoted(parameter.wire_name), value, as_text, parameter.is_exploded)
        case _:
            return simple(value, as_text, explode=parameter.is_exploded, separator=",")


def reserved_in_path(text: str) -> str:
    """Return a quoted value that stays in its path segment, even with `allowReserved`."""
    return quote(text, safe=":@!$&'()*+,;=")


def simple(value: Any, as_text: Quote, *, explode: bool, separator: str) -> str:
    """RFC 6570: `a,b`, and `k,v` or `k=v` for an object."""
    if not isinstance(value, list | dict):
        return as_text(text_of(value))
    if not explode:
        return ",".join(flat(value, as_text))
    return separator.join(exploded(value, as_text))


def exploded(value: Any, as_text: Quote) -> list[str]:
    if isinstance(value, dict):
        return [f"{as_text(key)}={as_text(text_of(each))}" for key, each in members(value)]
    return [as_text(text_of(each)) for each in without_nulls(value)]


def matrix(name: str, value: Any, as_text: Quote, explode: bool) -> str:  # noqa: FBT001 - a value
    """RFC 6570, 3.2.7: `;name=value`, and `;name` alone for an empty value."""
    if isinstance(value, dict) and explode:
        return "".join(f";{each}" for each in exploded(value, as_text))
    if isinstance(value, list) and explode:
        return "".join(named(name, as_text(text_of(each))) for each in without_nulls(value))
    return named(name, simple(value, as_text, explode=False, separator=","))


def named(name: str, text: str) -> str:
    return f";{name}={text}" if text else f";{name}"


def write_header(parameter: Parameter, value: Any) -> str:
    """Return the value of a header, which is not quoted."""
    if parameter.content:
        return content_of(parameter.content, value)
    return simple(value, unquoted, explode=parameter.is_exploded, separator=",")


def content_of(kind: str, value: Any) -> str:
    """Return a value in the media type of the parameter."""
    if is_json(kind) or not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return text_of(value)
