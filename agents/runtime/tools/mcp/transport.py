"""HTTP for the MCP library that goes through our one egress client, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2

from kernel.egress import Egress, EgressFailed, OpenAnswer, Request
from kernel.egress_rules import TargetRefused
from kernel.errors import PlatformError

MAX_BYTES = 4 * 1024 * 1024
"""Of one answer, an event stream included."""
GOODBYE_TIMEOUT_SECONDS = 0.5
"""For the end of a session: a caller may wait for it."""
OF_THE_CONNECTION = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding"}
)
NOT_PASSED_ON = frozenset({"content-length", "transfer-encoding", "content-encoding"})
RESUME = "last-event-id"
CANCELLATION = b'"notifications/cancelled"'
ERROR_STATUS = 400


class EgressTransport(httpx2.AsyncBaseTransport):
    """Answers are passed on as they come: a server may ask something in the middle of one, and
    may leave a stream open after its answer.

    The listening stream of older servers is never opened, as they allow (405). A GET that resumes
    a broken stream is sent.
    """

    def __init__(self, egress: Egress, *, seconds: float) -> None:
        self._egress = egress
        self._seconds = seconds
        self.failure: PlatformError | None = None
        """Why a request could not be made; the library tells only that it was not."""
        self.error_status = 0
        """Of the last answer that was an error."""
        self.has_session = False
        """Whether the server keeps state for this connection."""
        self.cancellation_sent = asyncio.Event()

    def forget_failures(self) -> None:
        self.failure, self.error_status = None, 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and RESUME not in request.headers:
            return httpx2.Response(405, request=request)
        is_goodbye = request.method == "DELETE"
        body = await request.aread()
        asked = Request(
            method=request.method,
            url=str(request.url),
            headers={
                name: value
                for name, value in request.headers.items()
                if name.lower() not in OF_THE_CONNECTION
            },
            body=body,
        )
        seconds = GOODBYE_TIMEOUT_SECONDS if is_goodbye else self._seconds
        try:
            response = await self._send(asked, request, seconds)
        finally:
            if CANCELLATION in body:
                self.cancellation_sent.set()
        self.has_session = self.has_session or "mcp-session-id" in response.headers
        if response.status_code >= ERROR_STATUS and not is_goodbye:
            self.error_status = response.status_code
        return response

    async def _send(
        self, asked: Request, request: httpx2.Request, seconds: float
    ) -> httpx2.Response:
        until = asyncio.get_running_loop().time() + seconds
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout_at(until):
                answer = await stack.enter_async_context(
                    self._egress.open(asked, most_bytes=MAX_BYTES)
                )
        except (TargetRefused, EgressFailed) as error:
            raise self.failed(error, request) from None
        except TimeoutError:
            late = EgressFailed("The address took too long to answer.")
            raise self.failed(late, request) from None
        headers = {
            name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON
        }
        stream = AnswerStream(self, answer, stack, until=until, request=request)
        return httpx2.Response(answer.status, headers=headers, stream=stream, request=request)

    def failed(self, error: PlatformError, request: httpx2.Request) -> httpx2.TransportError:
        """The library's error for one of ours, which is remembered."""
        self.failure = self.failure or error
        return httpx2.ReadError("failed", request=request)


class AnswerStream(httpx2.AsyncByteStream):
    """The body of one answer. Closing it hangs up."""

    def __init__(
        self,
        transport: EgressTransport,
        answer: OpenAnswer,
        stack: AsyncExitStack,
        *,
        until: float,
        request: httpx2.Request,
    ) -> None:
        self._transport = transport
        self._answer = answer
        self._stack = stack
        self._until = until
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    part = await anext(self._answer.body, None)
            except EgressFailed as error:
                raise self._transport.failed(error, self._request) from None
            except TimeoutError:
                late = EgressFailed("The address took too long to answer.")
                raise self._transport.failed(late, self._request) from None
            if part is None:
                return
            yield part

    async def aclose(self) -> None:
        await self._stack.aclose()
