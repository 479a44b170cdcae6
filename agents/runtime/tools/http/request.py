"""The request that arguments make. Pure.

Arguments come from a model that may have read what strangers wrote: they fill places, and never
change the host, the path's levels, or the lines of the head.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from agents.runtime.arguments import WrongArguments
from agents.runtime.tools.http.settings import CONTROL, PLACEHOLDER, HttpSettings
from agents.runtime.tools.settings import WrongSettings
from kernel.egress import Request

Pairs = list[tuple[str, str]]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def build(settings: HttpSettings, arguments: Mapping[str, Any], credential: str) -> Request:
    """Raises WrongArguments for values that do not fit, WrongSettings for such a credential."""
    left = {name: value for name, value in arguments.items() if name not in settings.named}
    in_query = left if settings.place_of_rest == "query" else {}
    body, content_type = body_of(settings, arguments, left)
    headers = {"accept": "application/json, text/*;q=0.9, */*;q=0.1"}
    if content_type:
        headers["content-type"] = content_type
    headers |= filled_headers(settings, arguments)
    if credential:
        headers[settings.credential_header.lower()] = header_of(settings, credential)
    return Request(
        method=settings.method,
        url=url_of(settings, arguments, pairs_of(settings, arguments, in_query)),
        headers=headers,
        body=body,
    )


def url_of(settings: HttpSettings, arguments: Mapping[str, Any], pairs: Pairs) -> str:
    base, _, query = settings.url.partition("#")[0].partition("?")
    path = fill(base, arguments, place="path")
    queries = [fill(query, arguments, place="query"), urlencode(pairs)]
    joined = "&".join(part for part in queries if part)
    return f"{path}?{joined}" if joined else path


def fill(template: str, arguments: Mapping[str, Any], *, place: str) -> str:
    """Placeholders replaced, each value quoted so that it stays in its place."""

    def value(name: str) -> str:
        if name not in arguments:
            raise WrongArguments(f"{name}: It is missing.")
        text = text_of(arguments[name])
        levels = text.replace("\\", "/").split("/")
        if place == "path" and (not text or {".", ".."} & set(levels)):
            raise WrongArguments(f"{name}: {text[:100]!r} cannot stand in a path.")
        return quote(text, safe="")

    return PLACEHOLDER.sub(lambda match: value(match[1]), template)


def pairs_of(
    settings: HttpSettings, arguments: Mapping[str, Any], rest: Mapping[str, Any]
) -> Pairs:
    """The query that is not part of the URL's own; a list is repeated."""
    pairs: Pairs = []
    for name, template in settings.query.items():
        lone = PLACEHOLDER.fullmatch(template)
        if lone is None:
            pairs.append((name, plain(template, arguments)))
        elif lone[1] in arguments:
            pairs += repeated(name, arguments[lone[1]])
    for name, value in rest.items():
        pairs += repeated(name, value)
    return pairs


def repeated(name: str, value: Any) -> Pairs:
    values = value if isinstance(value, list) else [value]
    return [(name, text_of(each)) for each in values if each is not None]


def plain(template: str, arguments: Mapping[str, Any]) -> str:
    """Placeholders replaced as they are; missing ones by nothing."""
    return PLACEHOLDER.sub(lambda match: text_of(arguments.get(match[1], "")), template)


def text_of(value: Any) -> str:
    """As people write it in an address: true and not True, JSON for what has parts."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return msgspec.json.encode(value).decode()


def filled_headers(settings: HttpSettings, arguments: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    for name, template in settings.headers.items():
        lone = PLACEHOLDER.fullmatch(template)
        if lone is not None and lone[1] not in arguments:
            continue
        value = plain(template, arguments)
        if CONTROL.search(value):
            raise WrongArguments(f"The header {name} must not hold control characters.")
        headers[name.lower()] = value
    return headers


def header_of(settings: HttpSettings, credential: str) -> str:
    if CONTROL.search(credential):
        raise WrongSettings("The credential holds a line break or another control character.")
    return settings.credential_prefix + credential


def body_of(
    settings: HttpSettings, arguments: Mapping[str, Any], left: Mapping[str, Any]
) -> tuple[bytes, str]:
    """The body and its type; both empty if there is none."""
    if settings.body_argument:
        if settings.body_argument not in arguments:
            return b"", ""
        return msgspec.json.encode(arguments[settings.body_argument]), JSON
    match settings.place_of_rest:
        case "json":
            return msgspec.json.encode(left), JSON
        case "form":
            pairs = [pair for name, value in left.items() for pair in repeated(name, value)]
            return urlencode(pairs).encode(), FORM
        case _:
            return b"", ""
