"""The WebSocket endpoints `/v1/responses` and `/ws/v1/responses`.

The consumer relays events. `agents.runtime` executes the runs.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer

from agents.doors.base.cross_origin import is_allowed_origin
from agents.doors.base.decisions import decide
from agents.doors.base.gateway import Gateway
from agents.doors.base.rendering import error_frame
from agents.doors.http.socket_tickets import SUBPROTOCOL, redeem
from agents.doors.websocket.socket_frames import (
    MAX_FRAME_BYTES,
    Authenticate,
    CancelResponse,
    CreateResponse,
    Ping,
    ResolveApproval,
    ResumeResponse,
    SubscribeConversation,
    SubscribeTopic,
    parse_frame,
)
from agents.doors.websocket.socket_outbox import Outbox
from agents.doors.websocket.socket_runs import SocketRuns
from agents.doors.websocket.topic_subscriptions import TopicSubscriptions
from agents.errors import (
    AuthenticationTimeout,
    BinaryFrame,
    FrameTooLarge,
    InvalidTicket,
    OriginNotAllowed,
    SocketTooOld,
    TooManySockets,
)
from kernel import logs, metrics
from kernel.asgi import ClientLeft, header
from kernel.errors import Conflict, Overloaded, PlatformError, Unauthenticated
from kernel.ids import new_id
from tenants.admission.authentication import key_text
from tenants.admission.principal import Principal, ensure_usable
from tenants.errors import TenantSuspended

log = logging.getLogger(__name__)

Request = (
    CreateResponse
    | CancelResponse
    | ResumeResponse
    | SubscribeConversation
    | SubscribeTopic
    | ResolveApproval
)

AUTHENTICATION_TIMEOUT_SECONDS = 10.0
CHECK_INTERVAL_SECONDS = 1.0
MAX_SOCKET_AGE_SECONDS = 60 * 60.0
SEND_TIMEOUT_SECONDS = 20.0
"""Timeout for sending one frame. It equals the timeout of a ping."""
CLOSE_TIMEOUT_SECONDS = 1.0
"""Timeout for sending the error before the socket closes."""

CLOSE_RESTARTING = 1012
CLOSE_SLOW_READER = 1013
CLOSE_UNAUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_AUTHENTICATION_TIMEOUT = 4408
CLOSE_FRAME_TOO_LARGE = 4413
CLOSE_TOO_MANY_SOCKETS = 4429

CLOSE_CODES: Sequence[tuple[type[PlatformError], int]] = (
    (AuthenticationTimeout, CLOSE_AUTHENTICATION_TIMEOUT),
    (Unauthenticated, CLOSE_UNAUTHENTICATED),
    (FrameTooLarge, CLOSE_FRAME_TOO_LARGE),
    (TooManySockets, CLOSE_TOO_MANY_SOCKETS),
    (Overloaded, CLOSE_SLOW_READER),
    (SocketTooOld, CLOSE_RESTARTING),
)
"""The close code of an error is that of the first class that matches."""


class ResponsesSocket(AsyncWebsocketConsumer):
    """A client's socket. It authenticates once, and checks the key again for every message."""

    # Nothing is sent through groups; without a layer no socket waits for Redis.
    channel_layer_alias = ""

    def __init__(self, *, gateway: Gateway) -> None:
        super().__init__()
        self.gateway = gateway

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Dispatch a message. Unlike Channels' method it does not use a database thread."""
        handler = getattr(self, message["type"].replace(".", "_"))
        # The client has left, so its disconnect message comes next.
        with contextlib.suppress(ClientLeft):
            await handler(message)

    async def connect(self) -> None:
        self.principal: Principal | None = None
        self.counted_tenant_id: int | None = None
        gateway = self.gateway
        self.outbox = Outbox(self.send)
        self.runs = SocketRuns(gateway.runner, gateway.runs, self.send_frames, self.outbox.send)
        self.topics = TopicSubscriptions(gateway.messages, gateway.runner.pubsub, self.send_frames)
        self.tasks: list[asyncio.Task[None]] = []
        logs.request_id.set(new_id("sock"))
        metrics.sockets.inc()
        ticket = self.offered_ticket()
        await self.accept(subprotocol=SUBPROTOCOL + ticket if ticket else None)
        try:
            self.check_origin()
            await self.authenticate_at_handshake(ticket)
        except PlatformError as error:
            await self.refuse(error)
            return
        self.tasks = [asyncio.create_task(self.monitor())]

    async def monitor(self) -> None:
        """Close the socket if authentication times out, the key is revoked, the client does not
        read, or the socket is too old.
        """
        with contextlib.suppress(ClientLeft):
            await self._run_checks()

    async def _run_checks(self) -> None:
        loop = asyncio.get_running_loop()
        opened_at = loop.time()
        while loop.time() - opened_at < MAX_SOCKET_AGE_SECONDS:
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            if self.outbox.pending_send_seconds(now=loop.time()) > SEND_TIMEOUT_SECONDS:
                # The client loses nothing: it can read the events from the log.
                await self.close(code=CLOSE_SLOW_READER)
                return
            try:
                if self.principal is not None:
                    await self.check_key()
                elif loop.time() - opened_at > AUTHENTICATION_TIMEOUT_SECONDS:
                    raise AuthenticationTimeout
            except Overloaded:
                continue  # during an outage a known key stays valid, as for requests
            except PlatformError as error:
                await self.refuse(error)
                return
        await self.refuse(SocketTooOld())

    async def check_key(self) -> Principal:
        """Load the current principal of the key. Raises the errors 401 and 403."""
        if self.principal is None:
            raise Unauthenticated("Send an `auth` frame with a ticket first.")
        self.admit(await self.gateway.keyring.refresh(self.principal))
        return self.principal

    def offered_ticket(self) -> str:
        """Return the ticket in the subprotocols that the client offers. Empty if there is none."""
        offers = [str(offer) for offer in self.scope.get("subprotocols", ())]
        tickets = [offer for offer in offers if offer.startswith(SUBPROTOCOL)]
        return tickets[0].removeprefix(SUBPROTOCOL) if tickets else ""

    def check_origin(self) -> None:
        """Check the `Origin` header, which browsers send. Raises OriginNotAllowed."""
        raw = header(self.scope, b"origin")
        if raw is None:
            return
        if not is_allowed_origin(self.gateway, raw.decode("latin-1")):
            raise OriginNotAllowed

    async def authenticate_at_handshake(self, ticket: str) -> None:
        """Authenticate by ticket or header. Without either, the first frame must have a ticket."""
        if ticket:
            await self.authenticate_by_ticket(ticket)
        elif header(self.scope, b"authorization") or header(self.scope, b"x-api-key"):
            self.admit(await self.gateway.keyring.authenticate(key_text(self.scope)))

    async def authenticate_by_ticket(self, ticket: str) -> None:
        """Raises InvalidTicket, and CacheUnavailable if Redis does not answer."""
        public_id = await redeem(ticket, redis=self.gateway.redis)
        principal = await self.gateway.keyring.find(public_id)
        if principal is None:
            raise InvalidTicket
        self.admit(principal)

    def admit(self, principal: Principal) -> None:
        """Let the socket act for `principal`. Raises the errors 401 and 403."""
        client = self.scope.get("client")
        address = client[0] if client else None
        ensure_usable(principal, scope="chat", address=address, now=time.time())
        if self.counted_tenant_id is None:
            self.gateway.sockets.enter(principal.tenant_id)
            self.counted_tenant_id = principal.tenant_id
        self.principal = principal
        logs.tenant.set(principal.tenant)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle one frame. Most errors are sent as frames; a few close the socket."""
        try:
            if text_data is None:
                raise BinaryFrame
            if len(text_data) > MAX_FRAME_BYTES:
                raise FrameTooLarge
            await self.handle(text_data)
        except (Unauthenticated, FrameTooLarge, TenantSuspended, TooManySockets) as error:
            await self.refuse(error)
        except PlatformError as error:
            if self.principal is None and isinstance(error, Overloaded):
                # The ticket may be used up: a second attempt would be refused as invalid.
                await self.refuse(error)
                return
            await self.send_frames([error_frame(error)])

    async def handle(self, text: str) -> None:
        frame = parse_frame(text)
        match frame:
            case Ping():
                await self.send_frames([{"type": "pong"}])
            case Authenticate():
                if self.principal is not None:
                    raise Conflict("This socket is authenticated already.")
                await self.authenticate_by_ticket(frame.ticket)
                await self.send_frames([{"type": "ack"}])
            case _:
                await self.handle_request(frame, await self.check_key())

    async def handle_request(self, frame: Request, principal: Principal) -> None:
        """Handle a frame about responses or topics. The key has just been checked."""
        tenant_id = principal.tenant_id
        match frame:
            case CreateResponse():
                await self.runs.create(frame, principal)
            case CancelResponse():
                await self.gateway.runner.cancel(tenant_id, frame.response_id)
            case ResumeResponse():
                self.runs.resume(tenant_id, frame.response_id, after=frame.starting_after)
            case SubscribeConversation():
                self.runs.subscribe(tenant_id, frame)
            case SubscribeTopic():
                self.topics.subscribe(tenant_id, frame)
            case ResolveApproval():
                fields = msgspec.structs.asdict(frame)
                run_id = fields.pop("response_id")
                await decide(self.gateway.runs, principal, run_id=run_id, **fields)
                await self.send_frames([{"type": "ack", "approval_id": frame.approval_id}])

    async def send_frames(self, frames: list[dict[str, Any]]) -> None:
        """Send frames. Raises ClientLeft."""
        await self.outbox.send([msgspec.json.encode(frame) for frame in frames])

    async def refuse(self, error: PlatformError) -> None:
        """Send an error, if the client reads, and close the socket."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self.send_frames([error_frame(error)])
        await self.close(code=close_code(error))

    async def disconnect(self, code: int) -> None:
        metrics.sockets.dec()
        if self.counted_tenant_id is not None:
            self.gateway.sockets.leave(self.counted_tenant_id)
        self.runs.close()
        self.topics.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def close_code(error: PlatformError) -> int:
    """Return the close code that belongs to an error (protocols.md, "Socket")."""
    fitting = (code for kind, code in CLOSE_CODES if isinstance(error, kind))
    return next(fitting, CLOSE_FORBIDDEN)
