"""The console's pages of this context. Django imports this module to find them."""

from agents.admin.agent import AgentAdmin
from agents.admin.approval import ApprovalAdmin
from agents.admin.conversation import ConversationAdmin
from agents.admin.erasure_receipt import ErasureReceiptAdmin
from agents.admin.revision import AgentRevisionAdmin
from agents.admin.rollout import RolloutAdmin
from agents.admin.run import RunAdmin
from agents.admin.tools.tool import ToolAdmin

__all__ = [
    "AgentAdmin",
    "AgentRevisionAdmin",
    "ApprovalAdmin",
    "ConversationAdmin",
    "ErasureReceiptAdmin",
    "RolloutAdmin",
    "RunAdmin",
    "ToolAdmin",
]
