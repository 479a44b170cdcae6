"""The outermost edge of the gateway: every request passes here, and every failure is told here."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from agents.doors.base.call import Call
from agents.doors.base.gateway import Gateway
from agents.doors.base.rendering import STATUS_OF_BUG
from kernel import logs, metrics
from kernel.asgi import ClientLeft, Receive, Scope, Send
from kernel.errors import MethodNotAllowed, NotFound, PlatformError, RateLimited

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[None]]

STATUS_OF_CLIENT_LEFT = 499
"""nginx's number; only in our own records."""


class Door:
    """An endpoint that tenants call: one handler for each method."""

    def __init__(self, name: str, gateway: Gateway, handlers: Mapping[str, Handler]) -> None:
        self._name = name
        self._gateway = gateway
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(self._gateway, scope, receive, send)
        logs.request_id.set(call.request_id)
        try:
            await self._handler(scope["method"])(call)
            status = call.status
        except PlatformError as error:
            status = await self._refuse(call, error)
        except ClientLeft:
            status = STATUS_OF_CLIENT_LEFT
        except Exception:
            # A bug: the caller learns nothing of it, the log everything.
            log.exception("door: unexpected failure (door=%s)", self._name)
            status = await self._refuse(call, PlatformError())
        self._measure(call, status)

    def _handler(self, method: str) -> Handler:
        # RFC 9110 §9.3.2: HEAD is GET without the body, which the server leaves out.
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = {*self._handlers, *({"HEAD"} if "GET" in self._handlers else ())}
            raise MethodNotAllowed(allow=", ".join(sorted(allowed)))
        return handler

    async def _refuse(self, call: Call, error: PlatformError) -> int:
        if error.status < STATUS_OF_BUG and call.waited == 0:
            metrics.series(metrics.refusals, error.code, scope_kind(error)).inc()
        if not call.status:
            await call.refuse(error)
        return error.status

    def _measure(self, call: Call, status: int) -> None:
        elapsed = time.monotonic() - call.started
        metrics.series(metrics.requests, self._name, call.route, str(status)).inc()
        metrics.series(metrics.request_duration, self._name).observe(elapsed)
        metrics.series(metrics.gateway_overhead, self._name).observe(
            max(0.0, elapsed - call.waited)
        )


def scope_kind(error: PlatformError) -> str:
    """Whose limit or state refused: a scope's, the key's own, or the request itself."""
    if isinstance(error, RateLimited):
        return error.scope_kind
    return "key" if error.status in {401, 403} else "request"


async def not_found(_: Call) -> None:
    """The handler of every address that is none."""
    raise NotFound("There is nothing at this address. The API is described in the documentation.")


class UnknownAddress(Door):
    """Answers to everything that no other door answers to, whatever the method."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__("unknown", gateway, {})

    def _handler(self, method: str) -> Handler:
        return not_found
