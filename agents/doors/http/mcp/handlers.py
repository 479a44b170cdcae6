"""`/mcp` and `/mcp/{agent}`: agents and tools of the tenant for MCP clients (ADR 0047).

Each request is served by itself, on whichever worker gets it: there are no sessions.
"""

from agents.doors.base.call import Call
from agents.doors.base.cross_origin import is_allowed_origin
from agents.doors.http.mcp.library import load_library
from agents.doors.http.mcp.offers import offer_of, offers_of
from agents.errors import OriginNotAllowed
from kernel.asgi import header


async def serve_mcp(call: Call) -> None:
    """Serve one message of an MCP client, with all agents and tools that the key may call."""
    ensure_origin(call)
    principal = await call.authenticate("chat")
    library = await load_library()
    offers = await offers_of(call.gateway, principal)
    await library.serve(call, principal, offers)


async def serve_mcp_of_agent(call: Call) -> None:
    """Serve one message of an MCP client, with one agent. Raises NotFound."""
    ensure_origin(call)
    principal = await call.authenticate("chat")
    library = await load_library()
    slug: str = call.scope["url_route"]["kwargs"]["agent"]
    await library.serve(call, principal, await offer_of(call.gateway, principal, slug))


def ensure_origin(call: Call) -> None:
    """Raises OriginNotAllowed. The specification of MCP requires the check of `Origin`.

    Other doors leave it to browsers, which do not read the response of another origin.
    """
    origin = header(call.scope, b"origin")
    if origin is not None and not is_allowed_origin(call.gateway, origin.decode("latin-1")):
        raise OriginNotAllowed(
            "MCP may not be used from this site. Ask the operator to allow its origin."
        )
