"""The tables of this context."""

from agents.models.agent import Agent, AgentRevision
from agents.models.conversation import Approval, Conversation, Item, Run
from agents.models.erasure import ErasureReceipt
from agents.models.message import AgentMessage, Delivery, Inbox
from agents.models.node import AgentNode, NodeToken
from agents.models.push_config import PushConfig
from agents.models.remote_agent import RemoteAgent
from agents.models.rollout import Rollout
from agents.models.schedule import Schedule, ScheduleFiring
from agents.models.task import Task
from agents.models.tool import Tool

__all__ = [
    "Agent",
    "AgentMessage",
    "AgentNode",
    "AgentRevision",
    "Approval",
    "Conversation",
    "Delivery",
    "ErasureReceipt",
    "Inbox",
    "Item",
    "NodeToken",
    "PushConfig",
    "RemoteAgent",
    "Rollout",
    "Run",
    "Schedule",
    "ScheduleFiring",
    "Task",
    "Tool",
]
