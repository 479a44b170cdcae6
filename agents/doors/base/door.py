"""The outermost layer of the gateway: it handles every request and renders every error."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from agents.doors.base.call import Call
from agents.doors.base.gateway import Gateway
from agents.doors.base.rendering import STATUS_OF_BUG
from kernel import logs, metrics
from kernel.asgi import ClientLeft, Receive, Scope, Send
from kernel.errors import MethodNotAllowed, NotFound, PlatformError, RateLimited
from kernel.metrics import OTHER

log = logging.getLogger(__name__)
access = logging.getLogger(logs.ACCESS_LOGGER)

Handler = Callable[[Call], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STATUS_OF_CLIENT_LEFT = 499
"""nginx's status. It is only in logs and metrics."""


class Door:
    """An endpoint, with one handler for each HTTP method."""

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
            # A bug: the details are in the log, not in the response.
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
        if error.status < STATUS_OF_BUG and call.upstream_seconds == 0:
            metrics.series(metrics.refusals, error.code, scope_kind(error)).inc()
        if not call.status:
            await call.refuse(error)
        return error.status

    def _measure(self, call: Call, status: int) -> None:
        elapsed = time.monotonic() - call.started
        metrics.series(metrics.requests, self._name, call.route, str(status)).inc()
        metrics.series(metrics.request_duration, self._name).observe(elapsed)
        if call.upstream_seconds is not None:
            metrics.series(metrics.gateway_overhead, self._name).observe(
                max(0.0, elapsed - call.upstream_seconds)
            )
        if access.isEnabledFor(logging.INFO):
            self._log_request(call, status, elapsed)

    def _log_request(self, call: Call, status: int, elapsed: float) -> None:
        """Write the access line. Nothing in it is text of the client: no path, no header."""
        method = call.scope["method"]
        fields = {
            "method": method if method in METHODS else OTHER,
            "door": self._name,
            "status": status,
            "duration_ms": round(1000 * elapsed),
        }
        access.info(
            "gateway: request (method=%(method)s, door=%(door)s, status=%(status)d, "
            "duration_ms=%(duration_ms)d)",
            fields,
            extra={"fields": fields},
        )


class OperationsDoor(Door):
    """The door of probes and scrapes. They are no requests of tenants, so they are not measured."""

    def _measure(self, call: Call, status: int) -> None:
        pass


def scope_kind(error: PlatformError) -> str:
    """Return what refused the request: a limit's scope, `key`, or `request`."""
    if isinstance(error, RateLimited):
        return error.scope_kind
    return "key" if error.status in {401, 403} else "request"


async def not_found(_: Call) -> None:
    """Handle unknown paths. Raises NotFound."""
    raise NotFound("There is nothing at this address. The API is described in the documentation.")


class UnknownAddress(Door):
    """The door of all paths that no other door serves, for every method."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__("unknown", gateway, {})

    def _handler(self, method: str) -> Handler:
        return not_found
