"""Parameters of an OpenAPI operation as arguments of a tool. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.runtime.tools.http.parameters import DEFAULT_STYLES, MAX_NAME_CHARS, Parameter
from agents.runtime.tools.http.settings import CONNECTION_HEADERS, ensure_header, ensure_parameter
from agents.runtime.tools.settings import WrongSettings, read_settings

PLACES = frozenset({"path", "query", "header", "cookie"})
NOT_ARGUMENTS = frozenset({"accept", "content-type", "authorization"})
"""Header parameters that OpenAPI requires to be ignored."""
UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
MAX_ARGUMENT_CHARS = 64
"""The limit of OpenAI and other engines for the names of properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadParameter:
    """A parameter of the document that becomes an argument."""

    parameter: Parameter
    schema: Any
    description: str
    required: bool


def is_ignored(parameter: Mapping[str, Any]) -> bool:
    """Return whether the platform sets the header, so that it is no argument of the tool."""
    name = str(parameter.get("name", "")).lower()
    return parameter.get("in") == "header" and name in NOT_ARGUMENTS | CONNECTION_HEADERS


def is_required(parameter: Mapping[str, Any]) -> bool:
    return parameter.get("required") is True or parameter.get("in") == "path"


def read_parameter(parameter: Mapping[str, Any], *, argument: str) -> ReadParameter:
    """Return the parameter of the document. Raises WrongSettings if it cannot be sent."""
    name, place = str(parameter.get("name", "")), parameter.get("in")
    short_name = name[:MAX_NAME_CHARS]
    if place not in PLACES:
        raise WrongSettings(
            f"The parameter {short_name!r} has the unknown place {str(place)[:20]!r}."
        )
    if not name or len(name) > MAX_NAME_CHARS:
        raise WrongSettings(f"The parameter {short_name!r} has no name, or one that is too long.")
    content = parameter.get("content")
    kind, schema = read_content(content) if isinstance(content, dict) and content else ("", None)
    settings = {
        "argument": argument,
        "in": place,
        **({"name": name} if name != argument else {}),
        **({"content": kind} if kind else style_of(parameter, str(place))),
    }
    try:
        read = read_settings(settings, Parameter)
        ensure_parameter(read)
        if place == "header":
            ensure_header(name, "")
    except WrongSettings as error:
        raise WrongSettings(f"The parameter {short_name!r} cannot be sent: {error}") from error
    description = parameter.get("description")
    return ReadParameter(
        parameter=read,
        schema=schema if kind else parameter.get("schema"),
        description=description if isinstance(description, str) else "",
        required=is_required(parameter),
    )


def read_content(content: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the only media type of a parameter, with its schema."""
    kind, described = next(iter(content.items()))
    return str(kind), described.get("schema") if isinstance(described, dict) else None


def style_of(parameter: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the style of the document, if it is not the default."""
    style, explode = parameter.get("style"), parameter.get("explode")
    settings: dict[str, Any] = {}
    if style is not None and style != DEFAULT_STYLES[place]:
        settings["style"] = style
    if isinstance(explode, bool):
        settings["explode"] = explode
    if parameter.get("allowReserved") is True:
        settings["allow_reserved"] = True
    return settings


def argument_name(name: str, place: str, taken: Mapping[str, Any]) -> str:
    """Return a name that engines accept, and that no other argument has."""
    plain = UNFIT.sub("_", name).strip("_")[:MAX_ARGUMENT_CHARS] or place
    if plain not in taken:
        return plain
    candidate = f"{plain[: MAX_ARGUMENT_CHARS - 12]}_{place}"
    return candidate if candidate not in taken else f"{candidate}_{len(taken)}"


def as_settings(parameter: Parameter) -> dict[str, Any]:
    """Return the parameter for a tool's settings, without defaults."""
    built: dict[str, Any] = msgspec.to_builtins(parameter)
    usual: dict[str, Any] = {
        "name": "", "style": None, "explode": None, "allow_reserved": False, "content": "",
    }  # fmt: skip
    return {key: value for key, value in built.items() if usual.get(key, ...) != value}
