"""The console's cast, for the tests of this folder, and a server that tools may call."""

from tests.fixtures.console.people import acme, console, operator, pool, rival, route
from tests.fixtures.servers.tool_servers import tool_host

__all__ = ["acme", "console", "operator", "pool", "rival", "route", "tool_host"]
