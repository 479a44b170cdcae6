"""A real MCP server, of the official library, as a process: `python mcp_program.py PORT`."""

import sys

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("warehouse")


@server.tool()
def stock(item: str, count: int = 1) -> str:
    """How many of an item are there."""
    return f"{count * 7} {item}"


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("the shelf is empty")


@server.tool()
async def sleep(seconds: float) -> str:
    """Takes its time."""
    await anyio.sleep(seconds)
    return "slept"


@server.tool()
def weigh() -> dict[str, float]:
    """Structured content."""
    return {"kg": 2.5}


if __name__ == "__main__":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
