"""The handlers of all tool kinds, for one run."""

import time
from collections.abc import Mapping

from agents.runtime.loop.ports import Clock
from agents.runtime.tools.agent import AgentTools
from agents.runtime.tools.kind import FindHandoffTarget, ToolHandler
from agents.runtime.tools.messages.calling import MessageTools
from agents.runtime.tools.messages.ports import Messages, SendingRun


def tool_handlers(
    own: Mapping[str, ToolHandler],
    messages: Messages,
    delegates: FindHandoffTarget,
    run: SendingRun,
    *,
    clock: Clock = time.monotonic,
) -> Mapping[str, ToolHandler]:
    """Return the handlers by `ToolKind`.

    `own` are the handlers of the worker, which keep connections between runs; `delegates` finds
    agents for hand-offs, and `messages` sends messages of the `run`.
    """
    return {
        **own,
        "agent": AgentTools(delegates, clock=clock),
        "builtin": MessageTools(messages, run, others=own["builtin"]),
    }
