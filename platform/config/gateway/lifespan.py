"""ASGI lifespan: opens what a process needs before its first request, closes it after its last.

Source: the ASGI lifespan specification 2.0, which Django's own handler does not support.
"""

import logging
from contextlib import AbstractAsyncContextManager

from kernel.asgi import Receive, Scope, Send
from kernel.errors import PlatformError

log = logging.getLogger(__name__)


class Lifespan:
    """Holds `resources` open while the server runs; a failure to open them stops the start."""

    def __init__(self, resources: AbstractAsyncContextManager[object]) -> None:
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._resources.__aenter__()
        except PlatformError as error:
            log.critical("gateway: start failed (error=%s): %s", error.code, error.message)
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        except Exception as error:
            log.exception("gateway: start failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._resources.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})
