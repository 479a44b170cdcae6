"""Registers the models whose changes are in the audit log."""

from auditlog.registry import auditlog

from agents.models import (
    Agent,
    AgentNode,
    AgentRevision,
    NodeToken,
    RemoteAgent,
    Rollout,
    Schedule,
    Tool,
)

MEASURED = ("heartbeat_at", "state", "note", "runs", "sockets", "load", "stopped_at", "started_at")
"""Columns of nodes with frequent automatic updates, which are not audited."""


def register() -> None:
    """Register the models. Called when the console starts; the gateway changes none of them."""
    auditlog.register(Agent)
    auditlog.register(AgentRevision)
    auditlog.register(AgentNode, exclude_fields=[*MEASURED])
    auditlog.register(NodeToken, exclude_fields=["digest", "pepper", "last_used_at", "uses"])
    auditlog.register(RemoteAgent, exclude_fields=["credential", "card"])
    auditlog.register(Rollout)
    auditlog.register(Schedule, exclude_fields=["next_at", "last_at"])
    auditlog.register(Tool, exclude_fields=["credential"])
