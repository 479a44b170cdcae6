"""Creates tools from an import: lists the candidates, and stores the selected ones together."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agents.models import Tool
from agents.runtime.loop.tool_output import storable
from agents.runtime.tools.validation import host_of, validate_tool
from agents.schema.imported_tool import MAX_NAME_CHARS, ImportedTool
from agents.schema.tool_candidates import ToolCandidates
from agents.tool_library.store import ensure_tool
from agents.topics import agents_topic
from kernel.egress.client import configured_egress
from kernel.publishing.publish import publish as publish_topics
from tenants.models import Tenant
from tenants.scoping import tenant_scope

MAX_LISTED_PARAMETERS = 12
"""Maximum number of parameters that are listed per tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportParameter:
    """A parameter of a tool, for display."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCandidate:
    """A tool that can be imported, with the name that it would get."""

    name: str
    method: str
    """The HTTP method of an operation. Empty for other tools."""
    where: str
    """The operation's path and server, or the tool's name on its server."""
    description: str
    parameters: tuple[ImportParameter, ...]
    more: int
    """Number of parameters that are not listed."""
    problem: str
    """The reason why the tool cannot be imported. Empty if it can be."""
    host: str = ""
    """Scheme, host and port that the tool calls."""
    is_credential_host: bool = True
    """Whether this host gets the credential without being selected."""
    notes: tuple[str, ...] = ()
    """Parts of the operation that the tool leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The settings that all tools of an import share."""

    prefix: str = ""
    secret: str = ""
    credential_hosts: frozenset[str] = frozenset()
    """Further hosts that get the credential, in the format of `host_of`. No other host gets it,
    because a document may name any host.
    """
    needs_approval: bool = False
    timeout_seconds: int = 20


def candidates_of(
    offer: ToolCandidates, *, tenant: Tenant, prefix: str = ""
) -> tuple[ImportCandidate, ...]:
    """Return all tools of an import, each with the problem that prevents it."""
    with tenant_scope(tenant.pk):
        taken = frozenset(Tool.objects.values_list("name", flat=True))
    names = Counter(name_of(tool, prefix) for tool in offer.tools)
    return tuple(
        candidate_of(
            tool,
            name=name_of(tool, prefix),
            credential_host=offer.credential_host,
            problem=problem_of(tool, offer.kind, name_of(tool, prefix), taken, names),
        )
        for tool in offer.tools
    )


def name_of(tool: ImportedTool, prefix: str) -> str:
    return (prefix + tool.tool_name)[:MAX_NAME_CHARS]


def problem_of(
    tool: ImportedTool,
    kind: str,
    name: str,
    taken: Collection[str],
    names: Mapping[str, int],
) -> str:
    if name in taken:
        return "A tool has this name already."
    if names[name] > 1:
        return "Another tool of this import has the same name."
    problems = validate_tool(
        kind,
        dict(tool.settings),
        tool.schema,
        ensure_target=configured_egress().ensure_target,
    )
    return problems[0].message if problems else ""


def candidate_of(
    tool: ImportedTool, *, name: str, credential_host: str, problem: str
) -> ImportCandidate:
    parameters = parameters_of(tool.schema)
    settings = tool.settings
    host = host_of(str(settings["url"]))
    return ImportCandidate(
        name=name,
        method=str(settings.get("method", "")),
        where=str(settings["url"] if "method" in settings else settings.get("tool", "")),
        description=tool.description,
        parameters=parameters[:MAX_LISTED_PARAMETERS],
        more=max(0, len(parameters) - MAX_LISTED_PARAMETERS),
        problem=problem,
        host=host,
        is_credential_host=bool(host) and host == credential_host,
        notes=tool.notes,
    )


def parameters_of(schema: Any) -> tuple[ImportParameter, ...]:
    """Return the parameters, required ones first. The schema of a server may be invalid."""
    known = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(known, dict):
        return ()
    listed = schema.get("required")
    required = (
        {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()
    )
    found = [
        ImportParameter(name=name, kind=kind_of(each), required=name in required)
        for name, each in known.items()
    ]
    return tuple(sorted(found, key=lambda each: not each.required))


def kind_of(schema: Any) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kind, list):
        return " or ".join(str(each) for each in kind)
    return str(kind) if kind else "any"


def import_tools(
    *, tenant: Tenant, offer: ToolCandidates, names: Collection[str], options: ImportOptions
) -> list[Tool]:
    """Store the named tools of an import: all, or none. The names are those of `candidates_of`.

    Raises ValidationError with a message for each tool that cannot be stored.
    """
    chosen = {name_of(each, options.prefix): each for each in offer.tools}
    gone = sorted(set(names) - chosen.keys())
    if gone or not names:
        text = f"Not offered: {', '.join(gone)}." if gone else "Choose at least one."
        raise ValidationError({"names": text})
    tools = [tool_of(chosen[name], tenant, name, offer, options) for name in dict.fromkeys(names)]
    try:
        with transaction.atomic(), tenant_scope(tenant.pk):
            store(tools)
            publish_topics(agents_topic(tenant.pk))
    except IntegrityError as error:
        # A concurrent request has created one of these names.
        raise ValidationError(
            {"names": "A tool with one of these names was just created."}
        ) from error
    return tools


def store(tools: list[Tool]) -> None:
    """Raises ValidationError with the problems of all tools."""
    problems = []
    for tool in tools:
        try:
            ensure_tool(tool)
        except ValidationError as error:
            problems.append(f"{tool.name}: {' '.join(error.messages)}")
        else:
            tool.save()
    if problems:
        raise ValidationError({"names": problems})


def tool_of(
    found: ImportedTool, tenant: Tenant, name: str, offer: ToolCandidates, options: ImportOptions
) -> Tool:
    host = host_of(str(found.settings["url"]))
    gets_credential = bool(host) and host in {offer.credential_host, *options.credential_hosts}
    return Tool(
        tenant=tenant,
        name=name,
        kind=offer.kind,
        description=storable(found.description) or name,
        schema=dict(found.schema),
        settings=dict(found.settings),
        credential=options.secret if gets_credential else "",
        needs_approval=options.needs_approval,
        timeout_seconds=options.timeout_seconds,
    )
