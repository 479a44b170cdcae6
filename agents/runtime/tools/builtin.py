"""The built-in tools that need no run: the time in a time zone, and arithmetic."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.tools.builtin_settings import BuiltinSettings
from agents.runtime.tools.calculator import WrongExpression, calculate
from agents.runtime.tools.settings import read_settings

NEEDS_RUN = "Messages can be sent only within a run of an agent that has this tool."
Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class BuiltinTools:
    """Implements `ToolHandler`."""

    def __init__(self, *, now: Now = utc_now) -> None:
        self._now = now

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        match read_settings(tool.settings, BuiltinSettings).function:
            case "time":
                return time_in(str(arguments.get("zone", "UTC")), now=self._now())
            case "calculator":
                return calculated(str(arguments.get("expression", "")))
            case "send_message" | "publish" | "ask_agent":
                return ToolResult(text=NEEDS_RUN, is_error=True)


def time_in(zone: str, *, now: datetime) -> ToolResult:
    try:
        there = now.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ToolResult(text=f"There is no time zone {zone[:100]!r}.", is_error=True)
    return ToolResult(text=f"{there.isoformat(timespec='seconds')} ({there:%A}, {zone})")


def calculated(expression: str) -> ToolResult:
    try:
        return ToolResult(text=str(calculate(expression)))
    except WrongExpression as error:
        return ToolResult(text=str(error), is_error=True)
