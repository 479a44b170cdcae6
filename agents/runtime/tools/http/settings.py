"""What an HTTP tool is made of. Pure.

Arguments stand in braces: `https://api.example.org/orders/{number}`. Those that no template names
go where `rest` says: into the query, or into a body.
"""

import re
from typing import Annotated, Literal

from msgspec import Meta

from agents.runtime.tools.settings import KindSettings, WrongSettings

Template = Annotated[str, Meta(max_length=2000)]
PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.\-]{1,100})\}")
ORIGIN = re.compile(r"https?://[^/?#{}]+(?=[/?#]|\Z)", re.IGNORECASE)
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
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
    rest: Literal["query", "json", "form", ""] = ""
    """Empty: the query of GET and DELETE, else JSON."""
    body_argument: str = ""
    """The argument that is the whole JSON body, where it is not made of the rest."""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "

    @property
    def place_of_rest(self) -> str:
        return self.rest or ("query" if self.method in {"GET", "DELETE"} else "json")

    @property
    def named(self) -> frozenset[str]:
        """Arguments that a template names."""
        templates = (self.url, *self.query.values(), *self.headers.values())
        names = {name for template in templates for name in PLACEHOLDER.findall(template)}
        return frozenset({*names, self.body_argument} - {""})


def ensure_makeable(settings: HttpSettings) -> None:
    """Raises WrongSettings for what could not be sent, or be sent somewhere else by arguments."""
    if ORIGIN.match(settings.url) is None:
        raise WrongSettings("url: It begins with https:// and a host, without a placeholder there.")
    if re.search(r"[{}]", PLACEHOLDER.sub("", settings.url)):
        raise WrongSettings("url: A placeholder is a name in braces, such as {number}.")
    for name, value in settings.headers.items():
        ensure_header(name, value)
    ensure_header(settings.credential_header, settings.credential_prefix)


def ensure_header(name: str, value: str) -> None:
    if HEADER.fullmatch(name) is None:
        raise WrongSettings(f"headers: {name[:100]!r} is no name of a header.")
    if name.lower() in OURS:
        raise WrongSettings(f"headers: {name} is set by the connection, not here.")
    if CONTROL.search(value):
        raise WrongSettings(f"headers: The value of {name} holds a control character.")
