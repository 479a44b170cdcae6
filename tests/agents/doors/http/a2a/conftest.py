"""What the tests of A2A share."""

from tests.fixtures.servers.tool_servers import tool_host

__all__ = ["tool_host"]
