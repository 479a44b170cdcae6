"""An MCP server of before 2026-07-28, by hand: it wants a handshake and a session. It can lie."""

import json

from aiohttp import web

VERSION = "2025-06-18"
TOOLS = [{"name": "stock", "description": "How many.", "inputSchema": {"type": "object"}}]


class LegacyMcp:
    """A handler for `tool_server`. `lies` maps a method to the result it gives instead."""

    def __init__(self, *, in_events=False, lies=None):
        self.in_events = in_events
        self.lies = lies or {}
        self.methods = []

    async def handle(self, request):
        if request.method == "DELETE":
            self.methods.append("DELETE")
            return web.Response(status=200)
        body = json.loads(await request.read())
        method = body.get("method")
        self.methods.append(method)
        if method != "initialize" and request.headers.get("mcp-session-id") != "s1":
            return web.Response(status=400, text="Bad Request: no session")
        if "id" not in body:
            return web.Response(status=202)
        result = self.lies.get(method, self.result_of(method, body.get("params") or {}))
        if isinstance(result, web.Response):
            return result
        return self.answer({"jsonrpc": "2.0", "id": body["id"], **result})

    def result_of(self, method, params):
        match method:
            case "initialize":
                result = {
                    "protocolVersion": VERSION,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "old", "version": "1"},
                }
            case "tools/list":
                result = {"tools": TOOLS}
            case "tools/call":
                text = f"old stock of {params.get('arguments')}"
                result = {"content": [{"type": "text", "text": text}]}
            case _:
                return {"error": {"code": -32601, "message": "Method not found"}}
        return {"result": result}

    def answer(self, message):
        headers = {"mcp-session-id": "s1"}
        if not self.in_events:
            return web.json_response(message, headers=headers)
        return web.Response(
            text=f"event: message\ndata: {json.dumps(message)}\n\n",
            content_type="text/event-stream",
            headers=headers,
        )
