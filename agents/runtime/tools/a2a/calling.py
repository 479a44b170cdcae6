"""Sends messages to agents of others, if the A2A SDK is installed."""

import asyncio
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.tools.a2a.settings import RemoteTarget
from agents.runtime.tools.settings import read_settings
from kernel.egress.client import Egress

SESSION = "agents.runtime.tools.a2a.session"
MISSING = "A2A is not installed here. The operator can add it: pip install 'tenantry[a2a]'."
NOT_REGISTERED = "The remote agent {name!r} is not registered here, or is disabled."


@cache
def import_session() -> ModuleType:
    return import_module(SESSION)


async def load_session() -> ModuleType:
    """Return `agents.runtime.tools.a2a.session`. Its first import takes a second, on a thread."""
    if import_session.cache_info().currsize:
        return import_session()
    return await asyncio.to_thread(import_session)


class A2aTools:
    """Implements `ToolHandler`."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Send the message, and wait for the end of the task.

        Raises TargetRefused and EgressFailed.
        """
        target = read_settings(tool.settings, RemoteTarget)
        if not target.url:
            text = NOT_REGISTERED.format(name=target.agent)
            return ToolResult(text=text, is_error=True)
        if find_spec("a2a") is None:
            return ToolResult(text=MISSING, is_error=True)
        session = await load_session()
        headers = {}
        if tool.credential:
            headers[target.credential_header] = target.credential_prefix + tool.credential
        result: ToolResult = await session.send_message(
            self._egress,
            url=target.url,
            binding=target.binding,
            headers=headers,
            text=str(arguments.get("message", "")),
            seconds=tool.timeout_seconds,
        )
        return result
