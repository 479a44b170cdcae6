"""An MCP server that plays a script: what it answers to each method is data of a case."""

import asyncio
import json

from aiohttp import web

MODERN = "2026-07-28"
NO_METHOD = {"error": {"code": -32601, "message": "Method not found"}}


class ScriptedMcp:
    """A handler for `tool_server`. The script is described in `tests/cases/README.md`."""

    def __init__(self, script):
        self.script = script
        self.era = script.get("era", "2025-06-18")
        self.methods = []
        self.headers = {}
        self.answers = []
        """What the client answered to requests of the server."""
        self.cancelled = []
        self.resumed = []
        self._given = {}

    async def handle(self, request):
        if request.method == "GET":
            last = request.headers.get("last-event-id", "")
            self.resumed.append(last)
            return await self.stream(request, self.script["resumed"][last], "call")
        if request.method == "DELETE":
            self.methods.append("DELETE")
            return web.Response()
        body = json.loads(await request.read())
        method = body.get("method")
        if method is None:
            self.answers.append(
                {key: body[key] for key in ("id", "result", "error") if key in body}
            )
            return web.Response(status=202)
        self.methods.append(method)
        self.headers[method] = {name.lower(): value for name, value in request.headers.items()}
        if method == "notifications/cancelled":
            self.cancelled.append(body["params"]["requestId"])
        if "id" not in body:
            return web.Response(status=202)
        return await self.answer(request, body, self.next_answer(method))

    def next_answer(self, method):
        """The next one of the script; the last one of a list stays."""
        given = self.script.get("answers", {}).get(method) or self.usual(method)
        if not isinstance(given, list):
            return given
        count = self._given[method] = self._given.get(method, 0) + 1
        return given[min(count, len(given)) - 1]

    def usual(self, method):
        info = {"name": "scripted", "version": "1"}
        match method:
            case "server/discover" if self.era == MODERN:
                result = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}
                return {"result": {**result, "resultType": "complete", **CACHE}}
            case "initialize" if self.era != MODERN:
                capabilities = {"tools": {}}
                return {
                    "result": {
                        "protocolVersion": self.era,
                        "capabilities": capabilities,
                        "serverInfo": info,
                    }
                }
            case "tools/list":
                return {"result": {"tools": [STOCK], **(CACHE if self.era == MODERN else {})}}
            case "tools/call":
                return {"result": {"content": [{"type": "text", "text": "7"}]}}
            case _:
                return NO_METHOD

    async def answer(self, request, body, given):
        headers = {"mcp-session-id": "s1"} if self.script.get("session") else {}
        if "sleep" in given:
            await asyncio.sleep(given["sleep"])
        if "hang_up" in given:
            request.transport.abort()
            return web.Response()
        if "status" in given:
            return web.Response(
                status=given["status"],
                text=given.get("text", ""),
                headers={"content-type": "text/plain", **given.get("headers", {})},
            )
        if "events" in given:
            return await self.stream(request, given, body["id"], headers)
        message = {key: given[key] for key in ("result", "error") if key in given}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **message}, headers=headers)

    async def stream(self, request, given, call_id, headers=None):
        """Events one after the other; a message with the id `call` answers the call."""
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", **(headers or {})}
        )
        await response.prepare(request)
        for event in given["events"]:
            if isinstance(event, (int, float)):
                await asyncio.sleep(event)
                continue
            lines = [f"{name}: {event[name]}" for name in ("id", "retry") if name in event]
            if "message" in event:
                message = {"jsonrpc": "2.0", **event["message"]}
                if message.get("id") == "call":
                    message["id"] = call_id
                lines.append(f"data: {json.dumps(message)}")
            elif "data" in event:
                lines.append(f"data: {event['data']}")
            await response.write(("\n".join(lines) + "\n\n").encode())
        if given.get("stays_open"):
            await asyncio.sleep(60)
        return response


STOCK = {"name": "stock", "description": "How many.", "inputSchema": {"type": "object"}}
CACHE = {"ttlMs": 0, "cacheScope": "private"}
