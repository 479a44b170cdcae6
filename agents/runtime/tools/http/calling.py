"""Calls HTTP tools through the egress client."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.loop.tool_arguments import WrongArguments
from agents.runtime.loop.tool_output import decode_body
from agents.runtime.tools.http.request import build
from agents.runtime.tools.http.settings import HttpSettings, ensure_http_settings
from agents.runtime.tools.settings import read_settings
from kernel.egress.client import Egress, EgressResponse

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""The limit of a response; the model reads its beginning only."""


class HttpTools:
    """Implements `ToolHandler`."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises TargetRefused and EgressFailed."""
        settings = read_settings(tool.settings, HttpSettings)
        ensure_http_settings(settings)
        try:
            request = build(settings, arguments, tool.credential)
        except WrongArguments as error:
            return ToolResult(text=str(error), is_error=True)
        answer = await self._egress.fetch(
            request, seconds=tool.timeout_seconds, max_bytes=MAX_RESPONSE_BYTES
        )
        return result_of(answer)


def result_of(answer: EgressResponse) -> ToolResult:
    """Return the response as a result. An error status is an error, with the body as its text."""
    text = decode_body(answer.body, answer.headers.get("content-type", "")) if answer.body else ""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return ToolResult(text=text or f"[HTTP {answer.status}, no content]")
    return ToolResult(text=f"HTTP {answer.status}. {text}".strip(), is_error=True)
