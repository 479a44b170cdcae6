"""The console's pages for agents, runs and tools. Django imports this module to register them."""

from agents.admin.a2a.remote_agent import RemoteAgentAdmin
from agents.admin.agent import AgentAdmin
from agents.admin.approval import ApprovalAdmin
from agents.admin.conversation import ConversationAdmin
from agents.admin.erasure_receipt import ErasureReceiptAdmin
from agents.admin.messages.dead_letter import DeliveryAdmin
from agents.admin.messages.message import AgentMessageAdmin
from agents.admin.nodes.node import AgentNodeAdmin
from agents.admin.nodes.node_token import NodeTokenAdmin
from agents.admin.revision import AgentRevisionAdmin
from agents.admin.rollout import RolloutAdmin
from agents.admin.run import RunAdmin
from agents.admin.schedule import ScheduleAdmin
from agents.admin.task import TaskAdmin
from agents.admin.tools.tool import ToolAdmin

__all__ = [
    "AgentAdmin",
    "AgentMessageAdmin",
    "AgentNodeAdmin",
    "AgentRevisionAdmin",
    "ApprovalAdmin",
    "ConversationAdmin",
    "DeliveryAdmin",
    "ErasureReceiptAdmin",
    "NodeTokenAdmin",
    "RemoteAgentAdmin",
    "RolloutAdmin",
    "RunAdmin",
    "ScheduleAdmin",
    "TaskAdmin",
    "ToolAdmin",
]
