"""The library's dispatcher, extended: it repairs responses of servers and sends headers."""

from collections.abc import Mapping
from typing import Any

from mcp.shared.dispatcher import CallOptions
from mcp.shared.inbound import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext

from agents.runtime.tools.mcp.answers import check_call, check_tools
from agents.schema.imported_tool import Skipped

CALL_DEFAULTS = {"resultType": "complete"}
LIST_DEFAULTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


class LenientDispatcher(JSONRPCDispatcher[TransportContext]):
    """Checks responses before the library does, so that one invalid part is removed alone."""

    skipped: tuple[Skipped, ...] = ()
    """The listed tools that cannot be used."""
    notes: Mapping[str, str] = {}
    """Notes on listed tools, by name."""
    is_modern = False
    """Whether the server supports 2026-07-28, which sends arguments as headers (SEP-2243)."""
    schemas: Mapping[str, Mapping[str, Any]] = {}
    """The schemas of the arguments by the name of the tool; they name the headers."""

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        if method == "tools/call" and self.is_modern:
            opts = self._with_headers(params or {}, opts)
        result = await super().send_raw_request(method, params, opts, **more)
        if self.is_modern and method in {"tools/list", "tools/call"}:
            # Members that the spec requires and that a client does not need.
            usual = LIST_DEFAULTS if method == "tools/list" else CALL_DEFAULTS
            result = {**usual, **result}
        if method == "tools/list":
            return self._with_tools(result)
        return check_call(result) if method == "tools/call" else result

    def _with_headers(self, params: Mapping[str, Any], opts: CallOptions | None) -> CallOptions:
        """Send arguments also as headers, if the tool's schema requires it."""
        schema = self.schemas.get(str(params.get("name")))
        options: CallOptions = {**(opts or {})}
        if schema is None or find_invalid_x_mcp_header(schema) is not None:
            return options
        headers = mcp_param_headers(x_mcp_header_map(schema), params.get("arguments") or {})
        options["headers"] = {**(options.get("headers") or {}), **headers}
        return options

    def _with_tools(self, result: dict[str, Any]) -> dict[str, Any]:
        checked = check_tools(result)
        tools = checked.result.get("tools")
        wrong: dict[str, str] = {}
        for tool in tools if self.is_modern and isinstance(tools, list) else ():
            reason = find_invalid_x_mcp_header(tool["inputSchema"])
            if reason is not None:
                wrong[tool["name"]] = f"Its x-mcp-header is invalid: {reason[:300]}."
        self.skipped = (
            *self.skipped,
            *checked.skipped,
            *(Skipped(name=name, reason=reason) for name, reason in wrong.items()),
        )
        self.notes = {**self.notes, **checked.notes}
        if not wrong:
            return checked.result
        valid = [tool for tool in tools or () if tool["name"] not in wrong]
        return {**checked.result, "tools": valid}
