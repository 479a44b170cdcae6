"""Hand-offs: another agent of the same tenant answers, within the budget of the calling run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.runtime.loop.loop import run_agent
from agents.runtime.loop.null_ports import deny_all, discard_event, no_checkpoint
from agents.runtime.loop.ports import (
    CallContext,
    Clock,
    LoopResult,
    ToolResult,
    ToolSpec,
)
from agents.runtime.tools.agent_settings import AgentSettings
from agents.runtime.tools.kind import FindHandoffTarget
from agents.runtime.tools.settings import read_settings
from agents.schema.items import Message

MAX_AGENTS = 4
"""Maximum number of agents in a chain of hand-offs, the first one included."""


class AgentTools:
    """Implements `ToolHandler`."""

    def __init__(self, delegates: FindHandoffTarget, *, clock: Clock) -> None:
        self._delegates = delegates
        self._clock = clock

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises what `FindHandoffTarget` and the model calls of the other agent raise."""
        slug = read_settings(tool.settings, AgentSettings).agent
        refusal = why_not(slug, context.agents)
        if refusal:
            return ToolResult(text=refusal, is_error=True)
        delegate = await self._delegates(slug, str(arguments.get("message", "")))
        plan = replace(
            delegate.plan,
            agents=(*context.agents, slug),
            call=context.call,
            client_tools=frozenset(),
        )
        ended = await run_agent(
            plan,
            stream_model=delegate.stream_model,
            tools=delegate.tools,
            emit=discard_event,
            approvals=deny_all,
            checkpoint=no_checkpoint,
            clock=self._clock,
            parent=context.budget,
        )
        return answer_of(ended)


def why_not(slug: str, agents: Sequence[str]) -> str:
    """Return the reason why `agents` must not hand off to `slug`; empty if they may. Pure."""
    if slug in agents:
        return (
            f"The agent {slug!r} is part of this chain already: a hand-off to it would be a cycle."
        )
    if len(agents) >= MAX_AGENTS:
        return f"The chain of hand-offs has {MAX_AGENTS} agents already. Answer without this one."
    return ""


def answer_of(ended: LoopResult) -> ToolResult:
    """Return the last message of the other agent; an error if it did not complete."""
    texts = [item.text for item in ended.items if isinstance(item, Message)]
    text = texts[-1] if texts else ""
    if ended.state == "completed":
        return ToolResult(text=text)
    return ToolResult(text=f"The agent did not finish ({ended.reason}). {text}", is_error=True)
