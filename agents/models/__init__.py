"""The tables of this context."""

from agents.models.agent import Agent, AgentRevision

__all__ = ["Agent", "AgentRevision"]
