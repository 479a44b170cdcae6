"""All kinds of tools, as a run gets them."""

import time
from collections.abc import Mapping

from agents.runtime.loop.ports import Clock
from agents.runtime.tools.agent import AgentTools
from agents.runtime.tools.kind import FindHandoffTarget, ToolHandler


def tool_handlers(
    own: Mapping[str, ToolHandler], delegates: FindHandoffTarget, *, clock: Clock = time.monotonic
) -> Mapping[str, ToolHandler]:
    """By the names of `ToolKind`. `own` are a worker's own kinds, which keep connections between
    runs; `delegates` finds agents of the tenant whose run it is.
    """
    return {**own, "agent": AgentTools(delegates, clock=clock)}
