"""Selects the media type of an OpenAPI request body that is sent. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.runtime.tools.http.parameters import is_json, media_type

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
WILDCARDS = frozenset({"*/*", "application/*"})
BRANCHES = frozenset(
    {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "patternProperties", "$dynamicRef"}
)
"""Keywords that constrain an object beyond its properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The media type of a request body that is sent."""

    rest: Literal["json", "form"]
    content_type: str
    """Empty for the default."""
    schema: Any
    encoding: Mapping[str, Any]
    """The encodings of form fields, by name."""


def choose_body(content: Any) -> Body | None:
    """Return JSON, else a JSON-like type, else a form; None if there is none of these."""
    kinds = content if isinstance(content, dict) else {}
    ranked = sorted((kind for kind in kinds if rank(str(kind))), key=lambda kind: rank(str(kind)))
    if not ranked:
        return None
    kind, described = str(ranked[0]), kinds[ranked[0]]
    described = described if isinstance(described, dict) else {}
    usual = kind in {JSON, FORM} or kind in WILDCARDS
    encoding = described.get("encoding")
    return Body(
        rest="form" if media_type(kind) == FORM else "json",
        content_type="" if usual else kind,
        schema=described.get("schema"),
        encoding=encoding if isinstance(encoding, dict) else {},
    )


def rank(kind: str) -> int:
    """Return the preference for a media type; 0 for one that cannot be sent."""
    plain = media_type(kind)
    if plain == JSON:
        return 1
    if is_json(kind):
        return 2
    if plain in WILDCARDS:
        return 3
    return 4 if plain == FORM else 0


def has_fields(schema: Mapping[str, Any]) -> bool:
    """Return whether an object is described by its properties alone."""
    own = schema.get("properties")
    return isinstance(own, dict) and bool(own) and not BRANCHES & set(schema)
