"""A server for HTTP tools: answers each path as it is told, and remembers what it was asked."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from aiohttp import web
from yarl import URL

from kernel.egress.client import Egress
from kernel.egress.rules import rules_of


@dataclass
class ToolServer:
    """`answers` holds a response, or a coroutine function of the request, per path."""

    port: int = 0
    answers: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    left: int = 0
    """Requests that were still worked on when the client went away."""

    def url(self, path="/", host="tools.example"):
        return f"http://{host}:{self.port}{path}"

    async def handle(self, request):
        self.seen.append(
            (request.method, request.raw_path, dict(request.headers), await request.read())
        )
        answer = self.answers.get(request.path, web.json_response({"ok": True}))
        try:
            return await answer(request) if asyncio.iscoroutinefunction(answer) else answer
        except asyncio.CancelledError:
            self.left += 1
            raise

    def egress(self, *addresses, allow=("127.0.0.1",)):
        """A client for which every name stands for this machine, as an operator may allow."""

        async def resolve(target):
            return [ip_address(each) for each in addresses or ("127.0.0.1",)]

        rules = rules_of(allow=allow, ports=[self.port, 80], http=True)
        return Egress(rules, resolve=resolve)

    @property
    def last(self):
        return self.seen[-1]

    @property
    def query(self):
        return dict(URL(self.last[1], encoded=True).query)


@asynccontextmanager
async def tool_server():
    server = ToolServer()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
