"""An HTTP transport for the MCP library that uses the egress client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2

from kernel.egress.client import Egress, EgressFailed, OpenAnswer, Request
from kernel.egress.rules import TargetRefused
from kernel.errors import PlatformError

MAX_BYTES = 4 * 1024 * 1024
"""The limit of one response, an event stream included."""
END_SESSION_TIMEOUT_SECONDS = 0.5
"""Timeout for ending a session; a caller may wait for it."""
NOTICE_TIMEOUT_SECONDS = 10.0
"""Timeout for notifications and responses to the server; later messages wait for them."""
CONNECTION_HEADERS = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding"}
)
DROPPED_HEADERS = frozenset({"content-length", "transfer-encoding", "content-encoding"})
RESUME = "last-event-id"
CANCELLATION = b'"notifications/cancelled"'
ERROR_STATUS = 400
BAD_GATEWAY = 502
NOT_SENT = -32090
"""The JSON-RPC error code for a request that could not be sent."""
TOO_LATE = "The server did not respond in time."


class EgressTransport(httpx2.AsyncBaseTransport):
    """Streams responses: a server may send requests within one, and may leave it open at its end.

    The listening stream of older servers is not opened: the library gets a 405, which is allowed.
    A GET that resumes an interrupted stream is sent.
    """

    def __init__(self, egress: Egress, *, seconds: float) -> None:
        self._egress = egress
        self._seconds = seconds
        self.failure: PlatformError | None = None
        """The reason why a request could not be sent; the library does not pass it on."""
        self.error_status = 0
        """The HTTP status of the last error response."""
        self.has_session = False
        """Whether the server has state for this connection."""
        self.cancellation_sent = asyncio.Event()
        self._not_sent_errors: dict[str, PlatformError] = {}

    def forget_failures(self) -> None:
        self.failure, self.error_status = None, 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and RESUME not in request.headers:
            return httpx2.Response(405, request=request)
        ends_session = request.method == "DELETE"
        body = await request.aread()
        outgoing = Request(
            method=request.method,
            url=str(request.url),
            headers={
                name: value
                for name, value in request.headers.items()
                if name.lower() not in CONNECTION_HEADERS
            },
            body=body,
        )
        seconds = self._seconds
        if ends_session:
            seconds = END_SESSION_TIMEOUT_SECONDS
        elif request.method == "POST" and not is_request(body):
            seconds = min(seconds, NOTICE_TIMEOUT_SECONDS)
        try:
            response = await self._send(outgoing, request, seconds)
        finally:
            if CANCELLATION in body:
                self.cancellation_sent.set()
        self.has_session = self.has_session or "mcp-session-id" in response.headers
        if response.status_code >= ERROR_STATUS and not ends_session and self.failure is None:
            self.error_status = response.status_code
        return response

    async def _send(
        self, outgoing: Request, request: httpx2.Request, seconds: float
    ) -> httpx2.Response:
        until = asyncio.get_running_loop().time() + seconds
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout_at(until):
                answer = await stack.enter_async_context(
                    self._egress.open(outgoing, max_bytes=MAX_BYTES)
                )
        except (TargetRefused, EgressFailed) as error:
            return self._not_sent(error, request)
        except TimeoutError:
            return self._not_sent(EgressFailed(TOO_LATE), request)
        headers = {
            name: value for name, value in answer.headers.items() if name not in DROPPED_HEADERS
        }
        stream = AnswerStream(self, answer, stack, until=until)
        return httpx2.Response(answer.status, headers=headers, stream=stream, request=request)

    def _not_sent(self, error: PlatformError, request: httpx2.Request) -> httpx2.Response:
        """Return an error response to this request only.

        If an error were raised, the library would end the connection for all active requests.
        """
        self.failure = self.failure or error
        key = str(len(self._not_sent_errors))
        self._not_sent_errors[key] = error
        details = {"code": NOT_SENT, "message": error.message, "data": key}
        message = {"jsonrpc": "2.0", "id": None, "error": details}
        return httpx2.Response(BAD_GATEWAY, json=message, request=request)

    def take_failure(self, key: object) -> PlatformError | None:
        """Return the failure behind a JSON-RPC error with the code `NOT_SENT` and these data."""
        return self._not_sent_errors.pop(str(key), None)


def is_request(message: bytes) -> bool:
    """Return whether a message expects a response. The bytes are as the library writes them."""
    return b'"method":' in message and b'"id":' in message


class AnswerStream(httpx2.AsyncByteStream):
    """The body of one response. Closing it closes the connection."""

    def __init__(
        self,
        transport: EgressTransport,
        answer: OpenAnswer,
        stack: AsyncExitStack,
        *,
        until: float,
    ) -> None:
        self._transport = transport
        self._answer = answer
        self._stack = stack
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    part = await anext(self._answer.body, None)
            except EgressFailed as error:
                raise self._broken(error) from None
            except TimeoutError:
                raise self._broken(EgressFailed(TOO_LATE)) from None
            if part is None:
                return
            yield part

    def _broken(self, error: EgressFailed) -> httpx2.StreamError:
        """Return the only error type that the library treats as a failure of this request alone."""
        self._transport.failure = self._transport.failure or error
        return httpx2.StreamError(error.message)

    async def aclose(self) -> None:
        await self._stack.aclose()
