"""The settings of an HTTP tool. Pure.

An argument has a placeholder (`https://api.example.org/orders/{number}`), or a parameter that
describes how it is sent. `rest` defines whether the others are sent in the query or in a body.
"""

import re
from typing import Annotated, Literal

from msgspec import Meta

from agents.runtime.tools.http.parameters import (
    CONTROL,
    MAX_NAME_CHARS,
    STYLES,
    TOKEN,
    Parameter,
    is_json,
    is_text,
)
from agents.runtime.tools.settings import KindSettings, WrongSettings

Template = Annotated[str, Meta(max_length=2000)]
PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.\-]{1,100})\}")
ORIGIN = re.compile(r"https?://[^/?#{}]+(?=[/?#]|\Z)", re.IGNORECASE)


CONNECTION_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
"""Headers of the connection, which a tool cannot set."""


class HttpSettings(KindSettings, frozen=True):
    """The template of a request, which is filled with the arguments."""

    url: Template
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, Template] = {}
    """The templates by name. One that consists of a missing argument is omitted."""
    headers: dict[str, Template] = {}
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=500)] = ()
    """Parameters of arguments, as in OpenAPI documents."""
    rest: Literal["query", "json", "form", ""] = ""
    """The place of the other arguments. Empty: the query for GET and DELETE, else a JSON body."""
    body_argument: str = ""
    """The argument that is the whole JSON body, if the body has no other arguments."""
    content_type: Annotated[str, Meta(max_length=200)] = ""
    """The media type of the body, if it is not `application/json` or that of a form."""
    omit_empty_body: bool = False
    """Whether the body is omitted if it has no argument."""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "

    @property
    def place_of_rest(self) -> str:
        return self.rest or ("query" if self.method in {"GET", "DELETE"} else "json")

    @property
    def named(self) -> frozenset[str]:
        """The arguments with a placeholder or a parameter."""
        templates = (self.url, *self.query.values(), *self.headers.values())
        names = {name for template in templates for name in PLACEHOLDER.findall(template)}
        styled = {parameter.argument for parameter in self.parameters}
        return frozenset({*names, *styled, self.body_argument} - {""})


def ensure_http_settings(settings: HttpSettings) -> None:
    """Raises WrongSettings if a request could not be sent, or arguments could change its host."""
    if ORIGIN.match(settings.url) is None:
        raise WrongSettings("url: It begins with https:// and a host, without a placeholder there.")
    if re.search(r"[{}]", PLACEHOLDER.sub("", settings.url)):
        raise WrongSettings("url: A placeholder is a name in braces, such as {number}.")
    for name, value in settings.headers.items():
        ensure_header(name, value)
    ensure_header(settings.credential_header, settings.credential_prefix)
    for parameter in settings.parameters:
        ensure_parameter(parameter)
        if parameter.place == "header":
            ensure_header(parameter.wire_name, "")
        if parameter.place == "path" and parameter.argument not in path_arguments(settings.url):
            raise WrongSettings(f"parameters: The path has no {{{parameter.argument[:100]}}}.")
        if parameter.place == "form" and settings.place_of_rest != "form":
            name = parameter.wire_name[:MAX_NAME_CHARS]
            raise WrongSettings(f"parameters: {name!r} is a form field. Set `rest` to `form`.")
    if CONTROL.search(settings.content_type):
        raise WrongSettings("content_type: It contains a control character.")


def path_arguments(url: str) -> frozenset[str]:
    return frozenset(PLACEHOLDER.findall(url.partition("#")[0].partition("?")[0]))


def ensure_parameter(parameter: Parameter) -> None:
    """Raises WrongSettings for a parameter that cannot be sent."""
    name = parameter.wire_name[:MAX_NAME_CHARS]
    if parameter.wire_style not in STYLES[parameter.place]:
        raise WrongSettings(
            f"parameters: {name!r} has the style {parameter.wire_style}, "
            f"which does not exist in a {parameter.place}."
        )
    if parameter.content and not is_json(parameter.content) and not is_text(parameter.content):
        raise WrongSettings(f"parameters: {name!r} is neither JSON nor text.")
    if CONTROL.search(parameter.wire_name):
        raise WrongSettings("parameters: A name contains a control character.")
    if parameter.place == "cookie" and TOKEN.fullmatch(parameter.wire_name) is None:
        raise WrongSettings(f"parameters: {name!r} is not the name of a cookie.")


def ensure_header(name: str, value: str) -> None:
    if TOKEN.fullmatch(name) is None:
        raise WrongSettings(f"headers: {name[:100]!r} is not the name of a header.")
    if name.lower() in CONNECTION_HEADERS:
        raise WrongSettings(f"headers: {name} is set by the connection, not here.")
    if CONTROL.search(value):
        raise WrongSettings(f"headers: The value of {name} contains a control character.")
