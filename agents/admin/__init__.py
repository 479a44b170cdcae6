"""The console's pages of this context. Django imports this module to find them."""

from agents.admin.agent import AgentAdmin
from agents.admin.revision import AgentRevisionAdmin
from agents.admin.rollout import RolloutAdmin
from agents.admin.tool import ToolAdmin

__all__ = ["AgentAdmin", "AgentRevisionAdmin", "RolloutAdmin", "ToolAdmin"]
