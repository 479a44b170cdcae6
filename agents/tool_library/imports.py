"""Tools that are made of an offer: what could be made, and all that was chosen in one go."""

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
from agents.schema.tool_candidates import Offer
from agents.tool_library.store import ensure_tool
from agents.topics import agents_topic
from kernel.egress.client import configured_egress
from kernel.publishing.publish import publish as publish_topics
from tenants.models import Tenant
from tenants.scoping import tenant_scope

MAX_SHOWN_PARAMETERS = 12
"""Parameters of one tool that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument, as people read it."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A tool of an offer, under the name that it would have here."""

    name: str
    method: str
    """Of an operation; empty for others."""
    where: str
    """The operation's path and server, or the tool's name on its server."""
    description: str
    parameters: tuple[Parameter, ...]
    more: int
    """Parameters that are not listed."""
    problem: str
    """Why it cannot be made; empty if it can."""
    host: str = ""
    """Scheme, host and port that are called."""
    is_credential_host: bool = True
    """Whether the credential is meant for this host."""
    notes: tuple[str, ...] = ()
    """What the tool is made without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all tools of one import have in common."""

    prefix: str = ""
    secret: str = ""
    credential_hosts: frozenset[str] = frozenset()
    """Hosts that get the credential besides the one that it is meant for, as `host_of` writes
    them. Nobody else gets it: a document may send its operations to any host."""
    needs_approval: bool = False
    timeout_seconds: int = 20


def candidates_of(offer: Offer, *, tenant: Tenant, prefix: str = "") -> tuple[Candidate, ...]:
    """All of an offer, with what stands in the way of each."""
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
        return "Another one here would have this name."
    problems = validate_tool(
        kind,
        dict(tool.settings),
        tool.schema,
        ensure_target=configured_egress().ensure_target,
    )
    return problems[0].message if problems else ""


def candidate_of(tool: ImportedTool, *, name: str, credential_host: str, problem: str) -> Candidate:
    parameters = parameters_of(tool.schema)
    settings = tool.settings
    host = host_of(str(settings["url"]))
    return Candidate(
        name=name,
        method=str(settings.get("method", "")),
        where=str(settings["url"] if "method" in settings else settings.get("tool", "")),
        description=tool.description,
        parameters=parameters[:MAX_SHOWN_PARAMETERS],
        more=max(0, len(parameters) - MAX_SHOWN_PARAMETERS),
        problem=problem,
        host=host,
        is_credential_host=bool(host) and host == credential_host,
        notes=tool.notes,
    )


def parameters_of(schema: Any) -> tuple[Parameter, ...]:
    """The required ones first. A server may have written anything as a schema."""
    known = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(known, dict):
        return ()
    listed = schema.get("required")
    required = (
        {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()
    )
    found = [
        Parameter(name=name, kind=kind_of(each), required=name in required)
        for name, each in known.items()
    ]
    return tuple(sorted(found, key=lambda each: not each.required))


def kind_of(schema: Any) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kind, list):
        return " or ".join(str(each) for each in kind)
    return str(kind) if kind else "any"


def import_tools(
    *, tenant: Tenant, offer: Offer, names: Collection[str], terms: Terms
) -> list[Tool]:
    """Store those of an offer that are named as `candidates_of` names them: all, or none.

    Raises ValidationError, with a sentence for each that cannot be stored.
    """
    chosen = {name_of(each, terms.prefix): each for each in offer.tools}
    gone = sorted(set(names) - chosen.keys())
    if gone or not names:
        text = f"Not offered: {', '.join(gone)}." if gone else "Choose at least one."
        raise ValidationError({"names": text})
    tools = [tool_of(chosen[name], tenant, name, offer, terms) for name in dict.fromkeys(names)]
    try:
        with transaction.atomic(), tenant_scope(tenant.pk):
            store(tools)
            publish_topics(agents_topic(tenant.pk))
    except IntegrityError as error:
        # Somebody else made one of them in this moment.
        raise ValidationError({"names": "A tool of one of these names was just made."}) from error
    return tools


def store(tools: list[Tool]) -> None:
    """Raises ValidationError, for all of them together."""
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


def tool_of(found: ImportedTool, tenant: Tenant, name: str, offer: Offer, terms: Terms) -> Tool:
    host = host_of(str(found.settings["url"]))
    gets_credential = bool(host) and host in {offer.credential_host, *terms.credential_hosts}
    return Tool(
        tenant=tenant,
        name=name,
        kind=offer.kind,
        description=storable(found.description) or name,
        schema=dict(found.schema),
        settings=dict(found.settings),
        credential=terms.secret if gets_credential else "",
        needs_approval=terms.needs_approval,
        timeout_seconds=terms.timeout_seconds,
    )
