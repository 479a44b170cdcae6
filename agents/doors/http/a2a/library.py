"""Loads the A2A SDK, an optional extra. Its import takes a second, so it is done on a thread."""

import asyncio
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from agents.errors import NotInstalled

MISSING = "A2A is not installed here. The operator can add it: pip install 'tenantry[a2a]'."
PROTOCOL = "agents.doors.http.a2a.protocol"


@cache
def import_protocol() -> ModuleType:
    return import_module(PROTOCOL)


async def load_protocol() -> ModuleType:
    """Return `agents.doors.http.a2a.protocol`. Raises NotInstalled."""
    if import_protocol.cache_info().currsize:
        return import_protocol()
    if find_spec("a2a") is None or find_spec("sse_starlette") is None:
        raise NotInstalled(MISSING)
    return await asyncio.to_thread(import_protocol)
