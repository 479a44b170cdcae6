"""One HTTP request at a door, and the methods that answer it."""

import re
import time
from collections.abc import Callable, Iterable

import msgspec

from agents.doors.base.gateway import Gateway
from agents.doors.base.rendering import error_object
from agents.runtime.catalog.model_lookup import find_model
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.catalog.revision_selection import sticky_to
from inference.relay.watchdog import Watchdog
from kernel import logs
from kernel.asgi import JSON_TYPE, Headers, Receive, Scope, Send, header, read_body, respond
from kernel.errors import PlatformError, RateLimited, UnsupportedEncoding
from kernel.ids import new_request_id
from kernel.metrics import OTHER
from tenants.admission.authentication import key_text
from tenants.admission.principal import Principal, ensure_usable

ErrorRenderer = Callable[[PlatformError], object]
PRINTABLE = re.compile(rb"[!-~]{1,128}")


class Call:
    """A request. One of the `respond` methods or an event sink answers it."""

    __slots__ = (
        "client_request_id",
        "gateway",
        "limit_headers",
        "receive",
        "render_error",
        "request_id",
        "route",
        "scope",
        "send",
        "started",
        "status",
        "upstream_seconds",
    )

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self.gateway = gateway
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request_id = new_request_id()
        self.client_request_id = client_request_id(scope)
        self.started = time.monotonic()
        self.route = OTHER
        self.status = 0
        self.limit_headers: Headers = []
        """The headers with the status of the caller's limits, set after admission."""
        self.render_error: ErrorRenderer = error_object
        """Renders an error that is sent before anything else."""
        self.upstream_seconds: float | None = 0.0
        """Seconds that the request waited for a pool, an engine or a run. None while it waits, so
        that a wait that does not end well is not taken for time of the gateway."""

    @property
    def address(self) -> str | None:
        """The IP address of the client, as trusted proxies report it."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def headers(self) -> Headers:
        """The headers of every response."""
        request_id = (self.client_request_id or self.request_id).encode()
        return [(b"x-request-id", request_id), *self.limit_headers]

    def elapsed(self) -> float:
        """Return seconds since the request was received."""
        return time.monotonic() - self.started

    @property
    def watch(self) -> Watchdog:
        """Checks open streams periodically."""
        return self.gateway.watch

    async def authenticate(self, scope: str | None) -> Principal:
        """Authenticate the key, and check that it may be used for `scope` from this address.

        None: any scope. Raises the errors 401 and 403 (protocols.md, "Errors").
        """
        principal = await self.gateway.keyring.authenticate(key_text(self.scope))
        logs.tenant.set(principal.tenant)
        ensure_usable(principal, scope=scope, address=self.address, now=time.time())
        return principal

    async def find_target(
        self, principal: Principal, model: str, *, purpose: str, user: str | None = None
    ) -> ResolvedModel:
        """Resolve `model` for the caller. Raises ModelNotFound.

        During a rollout one `user` of the client stays on one revision. Without a user it is chosen
        at random.
        """
        sticky = sticky_to(key_id=principal.counted_as, user=user or "", request_id=self.request_id)
        target = await find_model(
            model,
            purpose=purpose,
            principal=principal,
            catalog=self.gateway.catalog,
            fleet=self.gateway.fleet,
            sticky=sticky,
        )
        self.route = target.route.name
        return target

    async def body(self) -> bytes:
        """Return the body. Raises BodyTooLarge, and UnsupportedEncoding if it is compressed."""
        packing = header(self.scope, b"content-encoding")
        if packing is not None and packing.strip().lower() not in {b"", b"identity"}:
            raise UnsupportedEncoding
        return await read_body(self.scope, self.receive, limit=self.gateway.max_body_bytes)

    async def respond(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (JSON_TYPE,),
    ) -> None:
        """Send a body that is encoded already. It is JSON unless `headers` have another type."""
        self.status = status
        await respond(self.send, status, body, headers=[*headers, *self.headers])

    async def respond_json(self, value: object, *, status: int = 200) -> None:
        await self.respond(msgspec.json.encode(value), status=status)

    async def refuse(self, error: PlatformError) -> None:
        """Send an error. Nothing may have been sent before."""
        if isinstance(error, RateLimited):
            self.limit_headers = []  # the error has its own limit headers
        await self.respond(
            msgspec.json.encode(self.render_error(error)),
            status=error.status,
            headers=[JSON_TYPE, *error.headers()],
        )


def client_request_id(scope: Scope) -> str:
    """Return the client's own id of this request, if it is short and printable; else empty."""
    value = header(scope, b"x-request-id")
    if value is None or PRINTABLE.fullmatch(value) is None:
        return ""
    return value.decode("ascii")
