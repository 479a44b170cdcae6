"""Builds the request of a tool call from its arguments. Pure.

Arguments come from a model, which may have read untrusted text: they replace placeholders, and
cannot change the host, the segments of the path, or the lines of the head.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec

from agents.runtime.loop.tool_arguments import WrongArguments
from agents.runtime.tools.http.parameters import CONTROL, Parameter
from agents.runtime.tools.http.settings import PLACEHOLDER, HttpSettings
from agents.runtime.tools.http.styles import text_of, write_header, write_pairs, write_segment
from agents.runtime.tools.settings import WrongSettings
from kernel.egress.client import Request

Pairs = list[tuple[str, str]]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def build(settings: HttpSettings, arguments: Mapping[str, Any], credential: str) -> Request:
    """Return the request. Raises WrongArguments, and WrongSettings for an invalid credential."""
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
        url=url_of(settings, arguments, in_query),
        headers=headers,
        body=body,
    )


def url_of(
    settings: HttpSettings, arguments: Mapping[str, Any], in_query: Mapping[str, Any]
) -> str:
    base, _, query = settings.url.partition("#")[0].partition("?")
    path = fill_path(base, settings, arguments)
    queries = [
        PLACEHOLDER.sub(lambda match: quote(given(match[1], arguments), safe=""), query),
        urlencode(pairs_of(settings, arguments)),
        *styled_pairs(settings, arguments, place="query"),
        urlencode([pair for name, value in in_query.items() for pair in repeated(name, value)]),
    ]
    joined = "&".join(part for part in queries if part)
    return f"{path}?{joined}" if joined else path


def given(name: str, arguments: Mapping[str, Any]) -> str:
    if name not in arguments:
        raise WrongArguments(f"{name}: It is missing.")
    return text_of(arguments[name])


def fill_path(template: str, settings: HttpSettings, arguments: Mapping[str, Any]) -> str:
    """Return the URL with its placeholders replaced by quoted values."""
    styled = {each.argument: each for each in settings.parameters if each.place == "path"}

    def value(name: str) -> str:
        text = given(name, arguments)
        if arguments[name] in (None, "", [], {}) or has_dot_segment(text):
            raise WrongArguments(f"{name}: {text[:100]!r} is not allowed in a path.")
        parameter = styled.get(name) or Parameter(argument=name, place="path")
        return write_segment(parameter, arguments[name])

    segments = template.split("/")
    filled = [PLACEHOLDER.sub(lambda match: value(match[1]), each) for each in segments]
    for segment, before in zip(filled, segments, strict=True):
        if segment != before and (not segment or has_dot_segment(unquote(segment))):
            # The segment has several values, or one value with the prefix of its style.
            raise WrongArguments(f"{segment[:100]!r} is not allowed in a path.")
    return "/".join(filled)


def has_dot_segment(text: str) -> bool:
    return bool({".", ".."} & set(text.replace("\\", "/").split("/")))


def styled_pairs(settings: HttpSettings, arguments: Mapping[str, Any], *, place: str) -> list[str]:
    """`name=value` of each parameter in `place` whose argument is given."""
    return [
        pair
        for parameter in settings.parameters
        if parameter.place == place and parameter.argument in arguments
        for pair in write_pairs(parameter, arguments[parameter.argument])
    ]


def pairs_of(settings: HttpSettings, arguments: Mapping[str, Any]) -> Pairs:
    """Return the query parameters of templates; a list becomes one pair per element."""
    pairs: Pairs = []
    for name, template in settings.query.items():
        lone = PLACEHOLDER.fullmatch(template)
        if lone is None:
            pairs.append((name, plain(template, arguments)))
        elif lone[1] in arguments:
            pairs += repeated(name, arguments[lone[1]])
    return pairs


def repeated(name: str, value: Any) -> Pairs:
    values = value if isinstance(value, list) else [value]
    return [(name, text_of(each)) for each in values if each is not None]


def plain(template: str, arguments: Mapping[str, Any]) -> str:
    """Return the text with its placeholders replaced; missing arguments become empty."""
    return PLACEHOLDER.sub(
        lambda match: header_text(match[1], arguments[match[1]]) if match[1] in arguments else "",
        template,
    )


def header_text(name: str, value: Any) -> str:
    return write_header(Parameter(argument=name, place="header"), value)


def filled_headers(settings: HttpSettings, arguments: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    for name, template in settings.headers.items():
        lone = PLACEHOLDER.fullmatch(template)
        if lone is None or lone[1] in arguments:
            headers[name.lower()] = plain(template, arguments)
    for parameter in settings.parameters:
        value = arguments.get(parameter.argument)
        if parameter.place == "header" and value is not None:
            headers[parameter.wire_name.lower()] = write_header(parameter, value)
    cookies = styled_pairs(settings, arguments, place="cookie")
    if cookies:
        headers["cookie"] = "; ".join([*filter(None, [headers.get("cookie")]), *cookies])
    for name, value in headers.items():
        if CONTROL.search(value):
            raise WrongArguments(f"The header {name} must not contain control characters.")
    return headers


def header_of(settings: HttpSettings, credential: str) -> str:
    if CONTROL.search(credential):
        raise WrongSettings("The credential contains a line break or another control character.")
    return settings.credential_prefix + credential


def body_of(
    settings: HttpSettings, arguments: Mapping[str, Any], left: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Return the body and its media type; both empty without a body."""
    if settings.body_argument:
        if settings.body_argument not in arguments:
            return b"", ""
        body = msgspec.json.encode(arguments[settings.body_argument])
        return body, settings.content_type or JSON
    fields = styled_pairs(settings, arguments, place="form")
    if settings.omit_empty_body and not left and not fields:
        return b"", ""
    match settings.place_of_rest:
        case "json":
            return msgspec.json.encode(left), settings.content_type or JSON
        case "form":
            pairs = [pair for name, value in left.items() for pair in repeated(name, value)]
            text = "&".join(filter(None, [urlencode(pairs), *fields]))
            return text.encode(), settings.content_type or FORM
        case _:
            return b"", ""
