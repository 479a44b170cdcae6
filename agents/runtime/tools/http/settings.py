"""What an HTTP tool is made of. Pure.

Arguments stand in braces: `https://api.example.org/orders/{number}`, or have a parameter that says
how they are written. Those that neither names go where `rest` says: into the query, or into a body.
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


OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
"""Headers that belong to the connection, not to a request."""


class HttpSettings(KindSettings, frozen=True):
    """How the request is made of the arguments."""

    url: Template
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, Template] = {}
    """One that stands for nothing but a missing argument is left out."""
    headers: dict[str, Template] = {}
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=500)] = ()
    """Arguments with a style of their own, as OpenAPI documents describe them."""
    rest: Literal["query", "json", "form", ""] = ""
    """Empty: the query of GET and DELETE, else JSON."""
    body_argument: str = ""
    """The argument that is the whole JSON body, where it is not made of the rest."""
    content_type: Annotated[str, Meta(max_length=200)] = ""
    """Of the body, where it is not `application/json` or that of a form."""
    omit_empty_body: bool = False
    """Whether no body is sent if none of its arguments is given."""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "

    @property
    def place_of_rest(self) -> str:
        return self.rest or ("query" if self.method in {"GET", "DELETE"} else "json")

    @property
    def named(self) -> frozenset[str]:
        """Arguments that a template or a parameter names."""
        templates = (self.url, *self.query.values(), *self.headers.values())
        names = {name for template in templates for name in PLACEHOLDER.findall(template)}
        styled = {parameter.argument for parameter in self.parameters}
        return frozenset({*names, *styled, self.body_argument} - {""})


def ensure_makeable(settings: HttpSettings) -> None:
    """Raises WrongSettings for what could not be sent, or be sent somewhere else by arguments."""
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
            shown = parameter.wire_name[:MAX_NAME_CHARS]
            raise WrongSettings(f"parameters: {shown!r} is of a form. Set `rest` to `form`.")
    if CONTROL.search(settings.content_type):
        raise WrongSettings("content_type: It holds a control character.")


def path_arguments(url: str) -> frozenset[str]:
    return frozenset(PLACEHOLDER.findall(url.partition("#")[0].partition("?")[0]))


def ensure_parameter(parameter: Parameter) -> None:
    """Raises WrongSettings for a parameter that cannot be written."""
    shown = parameter.wire_name[:MAX_NAME_CHARS]
    if parameter.wire_style not in STYLES[parameter.place]:
        raise WrongSettings(
            f"parameters: {shown!r} has the style {parameter.wire_style}, "
            f"which does not exist in a {parameter.place}."
        )
    if parameter.content and not is_json(parameter.content) and not is_text(parameter.content):
        raise WrongSettings(f"parameters: {shown!r} is neither JSON nor text.")
    if CONTROL.search(parameter.wire_name):
        raise WrongSettings("parameters: A name holds a control character.")
    if parameter.place == "cookie" and TOKEN.fullmatch(parameter.wire_name) is None:
        raise WrongSettings(f"parameters: {shown!r} is not the name of a cookie.")


def ensure_header(name: str, value: str) -> None:
    if TOKEN.fullmatch(name) is None:
        raise WrongSettings(f"headers: {name[:100]!r} is no name of a header.")
    if name.lower() in OURS:
        raise WrongSettings(f"headers: {name} is set by the connection, not here.")
    if CONTROL.search(value):
        raise WrongSettings(f"headers: The value of {name} holds a control character.")
