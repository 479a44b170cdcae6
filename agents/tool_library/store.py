"""Loads tools for the gateway, and validates and stores them for the console and the API."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from agents.errors import AgentsUnavailable
from agents.models import Agent, RemoteAgent, Tool
from agents.runtime.tools.agent_settings import MESSAGE_SCHEMA
from agents.runtime.tools.builtin_settings import BUILTINS
from agents.runtime.tools.run_tools import needs_run
from agents.runtime.tools.validation import (
    describe_cycle,
    find_cycle,
    host_of,
    validate_tool,
)
from agents.schema.tool_spec import ToolSpec
from agents.tool_library.remote_targets import with_remote_targets
from agents.topics import agents_topic
from kernel.egress.client import configured_egress
from kernel.publishing.publish import publish as publish_topics
from kernel.secrets import SecretUnreadable, decrypt
from kernel.storage.database import UNAVAILABLE
from tenants.scoping import tenant_scope


def load_tools(tenant_id: int, names: Collection[str] | None = None) -> tuple[ToolSpec, ...]:
    """Return a tenant's enabled tools by name; only those of `names` if given.

    Raises AgentsUnavailable in an outage. A tool with an unreadable credential is returned without
    it, and with `is_readable=False`.
    """
    try:
        with tenant_scope(tenant_id):
            tools = sealed_tools().filter(enabled=True).order_by("name")
            if names is not None:
                tools = tools.filter(name__in=names)
            return with_remote_targets([as_spec(tool) for tool in tools])
    except UNAVAILABLE as error:
        raise AgentsUnavailable from error


def sealed_tools() -> QuerySet[Tool]:
    """Tools with the encrypted credential: the field would raise if no key decrypts it."""
    return Tool.objects.defer("credential").annotate(sealed=Cast("credential", TextField()))


def load_spec(tool: Tool) -> ToolSpec:
    """Return the specification of one tool, enabled or not."""
    with tenant_scope(tool.tenant_id):
        (spec,) = with_remote_targets([as_spec(sealed_tools().get(pk=tool.pk))])
        return spec


def load_tools_by_name(tenant_id: int) -> Mapping[str, ToolSpec]:
    """Return all enabled tools by name, for `ToolCatalog`. Raises AgentsUnavailable."""
    return {tool.name: tool for tool in load_tools(tenant_id)}


def as_spec(tool: Tool) -> ToolSpec:
    spec = ToolSpec(
        name=tool.name,
        kind=tool.kind,
        description=tool.description,
        schema=tool.schema,
        settings=tool.settings,
        timeout_seconds=float(tool.timeout_seconds),
        needs_approval=tool.needs_approval,
        is_idempotent=tool.is_idempotent or is_repeatable(tool),
        offered_over_mcp=tool.offered_over_mcp,
        tenant_id=tool.tenant_id,
    )
    if not spec.schema:
        spec = with_own_schema(spec)
    try:
        return replace(spec, credential=decrypt(tool.sealed))  # type: ignore[attr-defined]
    except SecretUnreadable:
        return replace(spec, is_readable=False)


def is_repeatable(tool: Tool) -> bool:
    """Return whether calls of the tool may be repeated by the definition of its kind.

    They change nothing, or, like built-in tools that send messages, are de-duplicated.
    """
    if tool.kind == "http":
        return str(tool.settings.get("method", "GET")).upper() == "GET"
    return bool(tool.kind == "builtin")


def with_own_schema(tool: ToolSpec) -> ToolSpec:
    """Add the schema of kinds whose arguments are predefined."""
    if tool.kind in {"agent", "a2a"}:
        return replace(tool, schema=MESSAGE_SCHEMA)
    builtin = BUILTINS.get(str(tool.settings.get("function")))
    return replace(tool, schema=builtin.schema) if tool.kind == "builtin" and builtin else tool


def own_description(tool: Tool) -> str:
    """Return the predefined description of a built-in tool. Empty for other kinds."""
    builtin = BUILTINS.get(str(tool.settings.get("function"))) if is_builtin(tool) else None
    return builtin.description if builtin else ""


def is_builtin(tool: Tool) -> bool:
    return tool.kind == "builtin" and isinstance(tool.settings, dict)


def ensure_tool(tool: Tool) -> None:
    """Validate a tool. Raises ValidationError with messages by field."""
    # First, because the next checks read the stored credential.
    ensure_same_host(tool)
    found: dict[str, list[str]] = {}
    try:
        tool.full_clean()
    except ValidationError as error:
        found = {field: list(messages) for field, messages in error.message_dict.items()}
    for problem in validate_tool(
        tool.kind,
        tool.settings,
        tool.schema,
        credential=tool.credential,
        ensure_target=configured_egress().ensure_target,
    ):
        found.setdefault(problem.field, []).append(problem.message)
    if tool.offered_over_mcp and (reason := unsuited_for_mcp(tool)):
        found.setdefault("offered_over_mcp", []).append(reason)
    if not found and tool.kind == "agent":
        found |= problems_of_handoff(tool)
    if not found and tool.kind == "a2a":
        found |= problems_of_remote_agent(tool)
    if found:
        raise ValidationError(found)


def unsuited_for_mcp(tool: Tool) -> str:
    """Return why the tool cannot be called outside of a run. Empty if it can."""
    if needs_run(tool.kind, tool.settings):
        return "This tool needs a run. Offer an agent over MCP instead, on the agent's page."
    if tool.needs_approval:
        return "A call over MCP cannot wait for an approval. Remove one of both settings."
    return ""


def ensure_same_host(tool: Tool) -> None:
    """Refuse to send a stored credential to another host. Raises ValidationError.

    Otherwise a user who may change a tool could send the credential to a host of their own.
    """
    if tool.pk is None or "credential" not in tool.get_deferred_fields():
        return
    with tenant_scope(tool.tenant_id):
        stored = Tool.objects.filter(pk=tool.pk).exclude(credential="")
        before = stored.values_list("settings", flat=True).first()
    if before is None or called_host(before) == called_host(tool.settings):
        return
    raise ValidationError(
        {"settings": "The tool calls another host now. Enter its credential again, or remove it."}
    )


def called_host(settings: object) -> str:
    return host_of(str(settings.get("url", ""))) if isinstance(settings, dict) else ""


def problems_of_handoff(tool: Tool) -> dict[str, list[str]]:
    """Return the problems of a handoff: an unknown agent, or a cycle."""
    target = str(tool.settings["agent"])
    with tenant_scope(tool.tenant_id):
        if not Agent.objects.filter(slug=target).exists():
            return {"settings": [f"agent: There is no agent {target!r} of this tenant."]}
    cycle = find_cycle(handoffs_of(tool.tenant_id, changed=tool), start=target)
    return {"settings": [describe_cycle(cycle)]} if cycle else {}


def problems_of_remote_agent(tool: Tool) -> dict[str, list[str]]:
    """Return the problem of a tool whose remote agent is not registered."""
    name = str(tool.settings["agent"])
    with tenant_scope(tool.tenant_id):
        if RemoteAgent.objects.filter(name=name).exists():
            return {}
    return {"settings": [f"agent: There is no remote agent {name!r} of this tenant."]}


def handoffs_of(tenant_id: int, *, changed: Tool | None = None) -> dict[str, set[str]]:
    """Return the target agents of each draft of a tenant.

    `changed` is a tool that is not saved yet.
    """
    with tenant_scope(tenant_id):
        rows = Tool.objects.filter(kind="agent").defer("credential")
        targets = {tool.name: str(tool.settings.get("agent")) for tool in rows}
        if changed is not None:
            targets[changed.name] = str(changed.settings.get("agent"))
        drafts = Agent.objects.values_list("slug", "tools")
        return {
            slug: {targets[name] for name in names if name in targets} for slug, names in drafts
        }


def ensure_no_cycle(agent: Agent) -> None:
    """Raises ValidationError if the handoffs of a draft form a cycle."""
    handoffs = handoffs_of(agent.tenant_id)
    with tenant_scope(agent.tenant_id):
        own = Tool.objects.filter(kind="agent", name__in=agent.tools).defer("credential")
        handoffs[agent.slug] = {str(tool.settings.get("agent")) for tool in own}
    cycle = find_cycle(handoffs, start=agent.slug)
    if cycle:
        raise ValidationError({"tools": [describe_cycle(cycle)]})


@transaction.atomic
def save_tool(*, tool: Tool) -> None:
    """Validate and store a tool. All gateways use it from now on. Raises ValidationError."""
    with tenant_scope(tool.tenant_id):
        tool.description = tool.description or own_description(tool)
        ensure_tool(tool)
        tool.save()
        publish_topics(agents_topic(tool.tenant_id))


@transaction.atomic
def delete_tool(*, tool: Tool) -> None:
    """Delete a tool. Agents that name it continue without it."""
    with tenant_scope(tool.tenant_id):
        tool.delete()
        publish_topics(agents_topic(tool.tenant_id))
