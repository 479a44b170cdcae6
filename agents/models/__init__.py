"""The tables of this context."""

from agents.models.agent import Agent, AgentRevision
from agents.models.conversation import Approval, Conversation, Item, Run
from agents.models.rollout import Rollout
from agents.models.tool import Tool

__all__ = [
    "Agent",
    "AgentRevision",
    "Approval",
    "Conversation",
    "Item",
    "Rollout",
    "Run",
    "Tool",
]
