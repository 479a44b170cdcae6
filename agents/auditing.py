"""Which tables leave a trace when a person changes them."""

from auditlog.registry import auditlog

from agents.models import Agent, AgentRevision, Rollout, Tool


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(Agent)
    auditlog.register(AgentRevision)
    auditlog.register(Rollout)
    auditlog.register(Tool, exclude_fields=["credential"])
