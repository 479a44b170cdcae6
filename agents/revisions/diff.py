"""Compares two configurations of an agent line by line. Pure functions."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Named(Protocol):
    name: str


class HasConfiguration(Protocol):
    """A draft or a revision."""

    instructions: str
    parameters: dict[str, object]
    variables: dict[str, object]
    tools: list[str]

    @property
    def route(self) -> Named: ...


PLAIN_FIELDS = (
    *("max_steps", "max_tool_calls", "max_run_seconds", "max_run_tokens"),
    *("busy_policy", "overflow", "response_cache", "cache_seconds"),
)
"""The fields of a configuration that fit on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line of a comparison; `kind` is `added`, `removed`, `place` or `same`."""

    kind: str
    text: str


KINDS = {"+": "added", "-": "removed", "@": "place", " ": "same"}
HEADERS = 2
"""A unified diff starts with two lines that name the files."""


def as_lines(configuration: HasConfiguration | None) -> list[str]:
    """Return a configuration as lines of text."""
    if configuration is None:
        return []
    return [
        f"route: {configuration.route.name}",
        *section("parameters", json_lines(configuration.parameters)),
        *section("variables", json_lines(configuration.variables)),
        *section("tools", configuration.tools),
        *plain_lines(configuration),
        *section("instructions", configuration.instructions.splitlines()),
    ]


def section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)]


def json_lines(value: Mapping[str, Any]) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def plain_lines(configuration: HasConfiguration) -> Iterator[str]:
    for name in PLAIN_FIELDS:
        value = getattr(configuration, name)
        yield f"{name.replace('_', ' ')}: {'-' if value in {None, ''} else value}"


def diff(*, served: HasConfiguration | None, draft: HasConfiguration) -> list[DiffLine]:
    """Return the lines that `draft` removes from `served` and adds. Empty if both are equal."""
    lines = difflib.unified_diff(as_lines(served), as_lines(draft), lineterm="", n=3)
    return [DiffLine(kind=KINDS[line[0]], text=line) for line in list(lines)[HEADERS:]]
