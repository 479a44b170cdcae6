"""The built-in tools that send messages to other agents of the tenant, for one run."""

import hashlib
from collections.abc import Mapping
from typing import Any

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.loop.tool_output import storable
from agents.runtime.tools.builtin_settings import BuiltinSettings
from agents.runtime.tools.kind import ToolHandler
from agents.runtime.tools.messages.ports import Messages, SendingRun
from agents.runtime.tools.settings import read_settings
from agents.schema.routing.messages import (
    DEFAULT_REPLY_SECONDS,
    MAX_REPLY_SECONDS,
    MessageRecord,
    NewMessage,
    Reply,
)
from kernel.errors import Denied, PlatformError

MARGIN_SECONDS = 0.5
"""A reply is waited for that much shorter than the tool may take, so that the error says why."""
MAX_NAMED_RECEIVERS = 20


class MessageTools:
    """Implements `ToolHandler` for all built-in tools: those that send nothing are `others`."""

    def __init__(self, messages: Messages, run: SendingRun, *, others: ToolHandler) -> None:
        self._messages = messages
        self._run = run
        self._others = others

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        settings = read_settings(tool.settings, BuiltinSettings)
        if not settings.sends:
            return await self._others.call(tool, arguments, context)
        try:
            ensure_allowed(settings, arguments)
            record = await self._send(settings, arguments, context)
            if settings.function == "ask_agent":
                seconds = seconds_for(tool, arguments)
                return answer_of(await self._wait(record, seconds=seconds))
        except PlatformError as error:
            return ToolResult(text=f"{error.code}: {error.message}", is_error=True)
        return receipt_of(record)

    async def _send(
        self, settings: BuiltinSettings, arguments: Mapping[str, Any], context: CallContext
    ) -> MessageRecord:
        to_topic = settings.function == "publish"
        new = NewMessage(
            content=storable(str(arguments.get("content", ""))),
            agent="" if to_topic else str(arguments.get("agent", "")),
            topic=str(arguments.get("topic", "")) if to_topic else "",
            sender=context.agents[-1] if context.agents else "",
            correlation_id=self._id_of(context),
            message_id=self._id_of(context),
            hops=self._run.hops + 1,
        )
        return (await self._messages.send(self._run.principal, new)).record

    def _id_of(self, context: CallContext) -> str:
        """Return the same id for each execution of one call, so that it sends one message."""
        call = hashlib.sha256(context.call.encode("utf-8", "replace")).hexdigest()[:32]
        return f"{self._run.id}:{call}"

    async def _wait(self, record: MessageRecord, *, seconds: float) -> Reply:
        tenant_id = self._run.principal.tenant_id
        return await self._messages.wait(tenant_id, message=record.id, seconds=seconds)


def ensure_allowed(settings: BuiltinSettings, arguments: Mapping[str, Any]) -> None:
    """Raises Denied for a receiver that the settings of the tool do not name."""
    kind, allowed = "agent", settings.agents
    if settings.function == "publish":
        kind, allowed = "topic", settings.topics
    if allowed is not None and arguments.get(kind) not in allowed:
        raise Denied(f"This tool may not send to this {kind}. Use one of: {', '.join(allowed)}.")


def seconds_for(tool: ToolSpec, arguments: Mapping[str, Any]) -> float:
    """Return how long to wait for a reply: as the model wants, within the tool's timeout."""
    wanted = float(arguments.get("timeout_seconds", DEFAULT_REPLY_SECONDS))
    return max(
        MARGIN_SECONDS, min(wanted, MAX_REPLY_SECONDS, tool.timeout_seconds - MARGIN_SECONDS)
    )


def answer_of(reply: Reply) -> ToolResult:
    """Return the text of a reply; an error if the agent did not complete it."""
    if reply.run_state == "completed":
        return ToolResult(text=reply.text)
    return ToolResult(
        text=f"The agent did not finish ({reply.run_state}). {reply.text}", is_error=True
    )


def receipt_of(record: MessageRecord) -> ToolResult:
    """Return what happened to a message; an error if it reaches none of its receivers."""
    states = [
        f"{each.agent}: {each.state}" + (f" ({each.error['code']})" if each.error else "")
        for each in record.deliveries
    ]
    named = ", ".join(states[:MAX_NAMED_RECEIVERS]) or "no agent subscribes to this topic"
    if len(states) > MAX_NAMED_RECEIVERS:
        named += f", and {len(states) - MAX_NAMED_RECEIVERS} others"
    is_lost = bool(states) and all(each.state == "dead" for each in record.deliveries)
    return ToolResult(text=f"Message {record.id}: {named}.", is_error=is_lost)
