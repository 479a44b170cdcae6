"""How a draft differs from what tenants are served, as people read it. Pure functions."""

import difflib
import json
from dataclasses import dataclass
from typing import Protocol


class Named(Protocol):
    name: str


class HasConfiguration(Protocol):
    """A draft or a revision."""

    instructions: str
    parameters: dict[str, object]

    @property
    def route(self) -> Named: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a comparison; `kind` is `added`, `removed`, `place` or `same`."""

    kind: str
    text: str


KINDS = {"+": "added", "-": "removed", "@": "place", " ": "same"}
HEADERS = 2
"""A unified diff begins with two lines that name files."""


def as_lines(configuration: HasConfiguration | None) -> list[str]:
    """A configuration as text, so that a difference is a line."""
    if configuration is None:
        return []
    parameters = json.dumps(
        configuration.parameters, indent=2, sort_keys=True, ensure_ascii=False
    ).splitlines()
    return [
        f"route: {configuration.route.name}",
        "parameters:",
        *(f"  {line}" for line in parameters),
        "instructions:",
        *(f"  {line}" for line in configuration.instructions.splitlines()),
    ]


def compare(*, served: HasConfiguration | None, draft: HasConfiguration) -> list[Line]:
    """The lines that publishing would take away and add; empty if there are none."""
    lines = difflib.unified_diff(as_lines(served), as_lines(draft), lineterm="", n=3)
    return [Line(kind=KINDS[line[0]], text=line) for line in list(lines)[HEADERS:]]
