"""Imports the part that needs the MCP library, if the library is installed."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from agents.doors.base.call import Call
from agents.doors.http.mcp.offers import Offer
from agents.errors import NotInstalled
from agents.runtime.tools.mcp.calling import MISSING, is_installed
from tenants.admission.principal import Principal

SERVER = "agents.doors.http.mcp.server"


class ServingModule(Protocol):
    """The module `server`."""

    async def serve(self, call: Call, principal: Principal, offers: Mapping[str, Offer]) -> None:
        """Respond to the message in the body of the request."""


imported: dict[str, ServingModule] = {}


async def load_library() -> ServingModule:
    """Return the server. Raises NotInstalled.

    The import takes a second or more, on a thread.
    """
    if not is_installed():
        raise NotInstalled(MISSING)
    if SERVER not in imported:
        imported[SERVER] = cast("ServingModule", await asyncio.to_thread(import_module, SERVER))
    return imported[SERVER]
