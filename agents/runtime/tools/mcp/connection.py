"""One connection to an MCP server, opened in a task of its own, so that any task may use it.

The library must close a connection in the task that opened it, and it notifies the server of a
cancelled call after the caller has ended. Every failure of a server becomes a sentence.
"""

import asyncio
import contextvars
from collections.abc import Mapping
from typing import Final

import httpx2
from mcp.client.session import ClientSession
from mcp.client.streamable_http import StreamableHTTPError, streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, PARSE_ERROR
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agents.runtime.tools.mcp.dispatcher import LenientDispatcher
from agents.runtime.tools.mcp.transport import MAX_BYTES, NOT_SENT, EgressTransport
from kernel.egress.client import Egress, EgressFailed
from kernel.errors import PlatformError

MAX_MESSAGE_CHARS: Final = 1000
CANCELLATION_TIMEOUT_SECONDS: Final = 2.0
"""Time that a connection stays open to notify the server of a cancelled call."""
REQUEST_TIMEOUT_SECONDS: Final = 600.0
"""The upper limit of a request; each call has a lower limit of its own."""
FAILURES = (
    MCPError, StreamableHTTPError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError,
    ValidationError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError,
)  # fmt: skip
"""The errors that the library raises if a server fails or does not follow the protocol."""
REFUSALS = {
    401: "The MCP server requires a credential, or refuses the one it received (HTTP 401). "
    "Enter a valid one.",
    403: "The MCP server does not allow this with the credential it received (HTTP 403).",
}
BROKEN = frozenset({PARSE_ERROR, CONNECTION_CLOSED})
"""The error codes of the library for an interrupted response."""
NO_DETAILS = "Server returned an error response"
"""The library's message for an HTTP error without a JSON-RPC error."""


class McpConnection:
    """A session with one server, for one tenant and one credential."""

    def __init__(
        self, egress: Egress, *, url: str, headers: Mapping[str, str], is_legacy: bool
    ) -> None:
        self._url = url
        self._headers = dict(headers)
        self._is_legacy = is_legacy
        """Whether the server is known to support the older handshake only."""
        self.transport = EgressTransport(egress, seconds=REQUEST_TIMEOUT_SECONDS)
        self.users = 0
        self.idle_since = 0.0
        self.is_watched = False
        self.is_discarded = False
        """Whether new calls must use another connection."""
        self.has_cancelled_call = False
        self.dispatcher: LenientDispatcher | None = None
        self.session: ClientSession | None = None
        self._closing = asyncio.Event()
        self._is_ready = asyncio.Event()
        self._failure: PlatformError | None = None
        self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    @property
    def is_usable(self) -> bool:
        return not (self.is_discarded or self._closing.is_set() or self._task.done())

    @property
    def is_legacy_known(self) -> bool:
        """Whether the server has completed the older handshake."""
        return self._is_ready.is_set() and self._failure is None and not self._is_modern

    @property
    def _is_modern(self) -> bool:
        return self.dispatcher is not None and self.dispatcher.is_modern

    async def ready(self) -> tuple[ClientSession, LenientDispatcher]:
        """Return the session once the server has answered.

        Raises TargetRefused and EgressFailed.
        """
        await self._is_ready.wait()
        if self._failure is not None:
            raise self._failure
        assert self.session is not None, "it is created before the connection is ready"
        assert self.dispatcher is not None, "it is created before the session"
        return self.session, self.dispatcher

    async def close(self) -> None:
        """End the session, after the server was notified of a cancelled call."""
        if self.has_cancelled_call and self.is_legacy_known:
            # In 2026-07-28 a call is cancelled by closing its response, which has been done.
            sent = asyncio.create_task(self.transport.cancellation_sent.wait())
            await asyncio.wait(
                [sent, self._task],
                timeout=CANCELLATION_TIMEOUT_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            sent.cancel()
        self._closing.set()
        await asyncio.wait([self._task], timeout=CANCELLATION_TIMEOUT_SECONDS)
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._hold_open()
        except FAILURES as error:
            self._failure = explain(error, self.transport)
        except BaseExceptionGroup as group:
            # Errors of the library's own tasks; a cancellation is not a failure.
            if not all(isinstance(each, FAILURES) for each in leaves(group)):
                raise
            self._failure = explain(leaves(group)[0], self.transport)
        finally:
            self._failure = self._failure or EgressFailed("The MCP server closed the connection.")
            self._is_ready.set()

    async def _hold_open(self) -> None:
        http = httpx2.AsyncClient(
            transport=self.transport, headers=self._headers, trust_env=False, timeout=None
        )
        async with (
            http,
            streamable_http_client(self._url, http_client=http, max_sse_event_size=MAX_BYTES) as (
                read,
                write,
            ),
        ):
            self.dispatcher = LenientDispatcher(read, write)
            async with ClientSession(dispatcher=self.dispatcher) as session:
                self.session = session
                await self._negotiate(session, self.dispatcher)
                self._is_ready.set()
                await self._closing.wait()

    async def _negotiate(self, session: ClientSession, dispatcher: LenientDispatcher) -> None:
        """Use the spec of 2026-07-28 if the server supports it, else the earlier handshake."""
        if not self._is_legacy:
            try:
                await session.discover()
            except (MCPError, ValidationError, RuntimeError):
                if self.transport.failure or self.transport.error_status in REFUSALS:
                    raise
        if session.discover_result is None:
            await session.initialize()
        dispatcher.is_modern = session.protocol_version in MODERN_PROTOCOL_VERSIONS
        self.transport.forget_failures()


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]


def explain(error: BaseException, transport: EgressTransport) -> PlatformError:
    """Return the failure as a leaf of the error tree."""
    if isinstance(error, MCPError):
        if error.code == NOT_SENT:
            found = transport.take_failure(error.error.data)
            return found or EgressFailed(error.message)
        if error.code not in BROKEN:
            # The error of this request: `transport.failure` may be that of another one.
            return EgressFailed(sentence(error, transport.error_status))
    return transport.failure or EgressFailed(sentence(error, transport.error_status))


def sentence(error: BaseException, status: int) -> str:
    """Return the message of the server's error; a general one for other failures."""
    has_details = isinstance(error, MCPError) and error.message != NO_DETAILS
    if status in REFUSALS and not has_details:
        return REFUSALS[status]
    if isinstance(error, MCPError) and (has_details or not status):
        return f"The MCP server reported an error: {error.message[:MAX_MESSAGE_CHARS]}"
    if status:
        return f"The MCP server answered with HTTP {status}."
    return f"The MCP server did not follow the protocol ({error.__class__.__name__})."
