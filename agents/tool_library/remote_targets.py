"""Adds the addresses and credentials of registered remote agents to the tools that name them."""

from collections.abc import Sequence
from dataclasses import replace

from django.db.models import TextField
from django.db.models.functions import Cast

from agents.models import RemoteAgent
from agents.schema.tool_spec import ToolSpec
from kernel.secrets import SecretUnreadable, decrypt

KIND = "a2a"


def with_remote_targets(tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    """Return the tools; those of the kind `a2a` with the address of their agent.

    A tool whose agent is not registered, or is disabled, has no address. Needs a tenant scope.
    """
    names = {str(tool.settings.get("agent")) for tool in tools if tool.kind == KIND}
    if not names:
        return tuple(tools)
    rows = RemoteAgent.objects.filter(name__in=names, enabled=True).defer("credential", "card")
    sealed = rows.annotate(sealed=Cast("credential", TextField()))
    agents = {agent.name: agent for agent in sealed}
    return tuple(
        with_target(tool, agents.get(str(tool.settings.get("agent"))))
        if tool.kind == KIND
        else tool
        for tool in tools
    )


def with_target(tool: ToolSpec, agent: RemoteAgent | None) -> ToolSpec:
    if agent is None:
        return tool
    settings = {
        "agent": agent.name,
        "url": agent.interface_url,
        "binding": agent.binding,
        "credential_header": agent.credential_header,
        "credential_prefix": agent.credential_prefix,
    }
    try:
        credential = decrypt(agent.sealed)  # type: ignore[attr-defined]  # an annotation
    except SecretUnreadable:
        return replace(tool, settings=settings, is_readable=False)
    return replace(tool, settings=settings, credential=credential)
