"""The tables of this context."""

from agents.models.agent import Agent, AgentRevision
from agents.models.conversation import Approval, Conversation, Item, Run
from agents.models.erasure import ErasureReceipt
from agents.models.rollout import Rollout
from agents.models.tool import Tool

__all__ = [
    "Agent",
    "AgentRevision",
    "Approval",
    "Conversation",
    "ErasureReceipt",
    "Item",
    "Rollout",
    "Run",
    "Tool",
]
