"""Which tables leave a trace when a person changes them."""

from auditlog.registry import auditlog

from agents.models import Agent, AgentRevision


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(Agent)
    auditlog.register(AgentRevision)
