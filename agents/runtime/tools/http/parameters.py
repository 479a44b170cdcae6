"""The serialization of an argument into a request, in the terms of OpenAPI's parameters. Pure."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Place = Literal["path", "query", "header", "cookie", "form"]
Style = Literal[
    "form", "simple", "label", "matrix", "spaceDelimited", "pipeDelimited", "deepObject"
]
MAX_NAME_CHARS = 100
DEFAULT_STYLES: Mapping[str, Style] = {
    "path": "simple",
    "query": "form",
    "header": "simple",
    "cookie": "form",
    "form": "form",
}
STYLES: Mapping[str, frozenset[str]] = {
    "path": frozenset({"simple", "label", "matrix"}),
    "query": frozenset({"form", "spaceDelimited", "pipeDelimited", "deepObject"}),
    "header": frozenset({"simple"}),
    "cookie": frozenset({"form"}),
    "form": frozenset({"form", "spaceDelimited", "pipeDelimited", "deepObject"}),
}
"""OpenAPI 3.1, "Style Values". `form` stands for a field of a form body."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One parameter of a request with the value of an argument; omitted without the argument."""

    argument: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    place: Place = msgspec.field(name="in")
    name: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""
    """The name in the request; empty if it is that of the argument."""
    style: Style | None = None
    explode: bool | None = None
    allow_reserved: bool = False
    content: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""
    """The media type of the value, in place of a style."""

    @property
    def wire_name(self) -> str:
        return self.name or self.argument

    @property
    def wire_style(self) -> Style:
        return self.style or DEFAULT_STYLES[self.place]

    @property
    def is_exploded(self) -> bool:
        return self.explode if self.explode is not None else self.wire_style == "form"


def media_type(text: str) -> str:
    """Return the type without parameters, in lower case."""
    return text.split(";", maxsplit=1)[0].strip().lower()


def is_json(text: str) -> bool:
    kind = media_type(text)
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def is_text(text: str) -> bool:
    return media_type(text).startswith("text/")
