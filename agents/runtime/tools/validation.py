"""Validates a tool before it is stored, with sentences for forms and the API. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.runtime.loop.tool_arguments import MAX_SCHEMA_BYTES, WrongArguments, ensure_schema
from agents.runtime.loop.tool_output import storable_json
from agents.runtime.tools.a2a.settings import A2aSettings
from agents.runtime.tools.agent_settings import AgentSettings
from agents.runtime.tools.builtin_settings import (
    BUILTINS,
    BuiltinSettings,
    ensure_builtin_settings,
)
from agents.runtime.tools.http.parameters import CONTROL
from agents.runtime.tools.http.settings import HttpSettings, ensure_http_settings
from agents.runtime.tools.mcp.settings import McpSettings, ensure_mcp_settings
from agents.runtime.tools.settings import WrongSettings, read_settings
from kernel.egress.rules import TargetRefused, read_origin

EnsureTarget = Callable[[str], None]
Handoffs = Mapping[str, Collection[str]]
"""The agents that each agent may hand off to, by slug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a tool."""

    field: str
    """The field of the tool: `settings`, `schema`, `credential` or `kind`."""
    message: str


def validate_tool(
    kind: str,
    settings: object,
    schema: object,
    *,
    ensure_target: EnsureTarget,
    credential: str = "",
) -> tuple[Problem, ...]:
    """Return all problems; empty if the tool is valid.

    `ensure_target` raises TargetRefused for addresses that tools may not call, as
    `Egress.ensure_target` does.
    """
    unstorable = tuple(problems_of_characters(settings=settings, schema=schema))
    if unstorable:
        return unstorable
    problems = [*problems_of_schema(schema), *problems_of_credential(credential)]
    if not isinstance(settings, dict):
        return (*problems, Problem(field="settings", message="The settings are a JSON object."))
    check = CHECKS.get(kind)
    if check is None:
        known = ", ".join(CHECKS)
        return (*problems, Problem(field="kind", message=f"The kind is one of {known}."))
    try:
        check(settings, ensure_target)
    except WrongSettings as error:
        problems.append(Problem(field="settings", message=str(error)))
    except TargetRefused as error:
        problems.append(Problem(field="settings", message=f"url: {error.message}"))
    return tuple(problems)


def problems_of_characters(**fields: object) -> Iterable[Problem]:
    for field, value in fields.items():
        try:
            is_storable = storable_json(value) == value
        except RecursionError:
            is_storable = False
        if not is_storable:
            yield Problem(
                field=field, message="It contains characters that cannot be stored, or is too deep."
            )


def problems_of_schema(schema: object) -> Iterable[Problem]:
    try:
        ensure_schema(schema)
    except WrongArguments as error:
        yield Problem(field="schema", message=str(error))
        return
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        yield Problem(
            field="schema", message=f"A schema has at most {MAX_SCHEMA_BYTES // 1024} KiB as JSON."
        )


def problems_of_credential(credential: str) -> Iterable[Problem]:
    if CONTROL.search(credential):
        yield Problem(
            field="credential", message="A credential must not contain control characters."
        )


def check_http(settings: Mapping[str, Any], ensure_target: EnsureTarget) -> None:
    read = read_settings(settings, HttpSettings)
    ensure_http_settings(read)
    ensure_target(without_braces(read.url))


def host_of(url: str) -> str:
    """Return the normalized scheme, host and port of `url`; empty if invalid."""
    try:
        return read_origin(without_braces(url))
    except TargetRefused:
        return ""


def without_braces(url: str) -> str:
    """Return a URL of settings without the braces of placeholders, which are never in its host."""
    return url.replace("{", "").replace("}", "")


def check_mcp(settings: Mapping[str, Any], ensure_target: EnsureTarget) -> None:
    read = read_settings(settings, McpSettings)
    ensure_mcp_settings(read)
    ensure_target(read.url)


def check_agent(settings: Mapping[str, Any], _: EnsureTarget) -> None:
    read_settings(settings, AgentSettings)


def check_builtin(settings: Mapping[str, Any], _: EnsureTarget) -> None:
    read = read_settings(settings, BuiltinSettings)
    assert read.function in BUILTINS, "`BuiltinSettings` accepts only existing functions"
    ensure_builtin_settings(read)


def check_a2a(settings: Mapping[str, Any], _: EnsureTarget) -> None:
    read_settings(settings, A2aSettings)


CHECKS: dict[str, Callable[[Mapping[str, Any], EnsureTarget], None]] = {
    "http": check_http,
    "mcp": check_mcp,
    "agent": check_agent,
    "a2a": check_a2a,
    "builtin": check_builtin,
}


def find_cycle(handoffs: Handoffs, *, start: str) -> tuple[str, ...]:
    """Return the agents of a cycle of hand-offs from `start` back to it; empty if there is none."""
    paths: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for path in paths:
        for slug in handoffs.get(path[-1], ()):
            if slug == start:
                return (*path, start)
            if slug not in seen:
                seen.add(slug)
                paths.append((*path, slug))
    return ()


def describe_cycle(cycle: tuple[str, ...]) -> str:
    return f"These agents would hand off in a cycle: {' → '.join(cycle)}."
