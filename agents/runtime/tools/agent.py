"""Hand-off: another agent of the same tenant answers, within what is left to the one that asks."""

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

DEEPEST = 4
"""Agents that may stand one behind the other, the first one included."""


class AgentTools:
    """Implements `Kind`."""

    def __init__(self, delegates: FindHandoffTarget, *, clock: Clock) -> None:
        self._delegates = delegates
        self._clock = clock

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises what `Delegates` and the other agent's model calls raise."""
        slug = read_settings(tool.settings, AgentSettings).agent
        refusal = why_not(slug, context.agents)
        if refusal:
            return ToolResult(text=refusal, is_error=True)
        delegate = await self._delegates(slug, str(arguments.get("message", "")))
        plan = replace(delegate.plan, agents=(*context.agents, slug), client_tools=frozenset())
        ended = await run_agent(
            plan,
            ask=delegate.ask,
            tools=delegate.tools,
            tell=discard_event,
            approvals=deny_all,
            checkpoint=no_checkpoint,
            clock=self._clock,
            above=context.budget,
        )
        return answer_of(ended)


def why_not(slug: str, agents: Sequence[str]) -> str:
    """Why there must be no hand-off to `slug` behind `agents`; empty if there may be. Pure."""
    if slug in agents:
        return (
            f"The agent {slug!r} is already at work on this: a hand-off to it would go in a circle."
        )
    if len(agents) >= DEEPEST:
        return f"There are {DEEPEST} agents behind each other already. Answer without this one."
    return ""


def answer_of(ended: LoopResult) -> ToolResult:
    """The last thing that the other agent said, and whether it came to its end."""
    said = [item.text for item in ended.items if isinstance(item, Message)]
    text = said[-1] if said else ""
    if ended.state == "completed":
        return ToolResult(text=text)
    return ToolResult(text=f"The agent did not finish ({ended.reason}). {text}", is_error=True)
