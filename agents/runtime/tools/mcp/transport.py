"""HTTP for the MCP library that goes through our one egress client, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2

from kernel.egress.client import Egress, EgressFailed, OpenAnswer, Request
from kernel.egress.rules import TargetRefused
from kernel.errors import PlatformError

MAX_BYTES = 4 * 1024 * 1024
"""Of one answer, an event stream included."""
GOODBYE_TIMEOUT_SECONDS = 0.5
"""For the end of a session: a caller may wait for it."""
NOTICE_TIMEOUT_SECONDS = 10.0
"""For a notification, or an answer to the server: later messages wait until it is sent."""
OF_THE_CONNECTION = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding"}
)
NOT_PASSED_ON = frozenset({"content-length", "transfer-encoding", "content-encoding"})
RESUME = "last-event-id"
CANCELLATION = b'"notifications/cancelled"'
ERROR_STATUS = 400
BAD_GATEWAY = 502
NOT_SENT = -32090
"""The code of our own JSON-RPC errors: a request could not be made."""
TOO_LATE = "The address took too long to answer."


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
        self._not_sent_errors: dict[str, PlatformError] = {}

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
        seconds = self._seconds
        if is_goodbye:
            seconds = GOODBYE_TIMEOUT_SECONDS
        elif request.method == "POST" and not is_request(body):
            seconds = min(seconds, NOTICE_TIMEOUT_SECONDS)
        try:
            response = await self._send(asked, request, seconds)
        finally:
            if CANCELLATION in body:
                self.cancellation_sent.set()
        self.has_session = self.has_session or "mcp-session-id" in response.headers
        if response.status_code >= ERROR_STATUS and not is_goodbye and self.failure is None:
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
            return self._not_sent(error, request)
        except TimeoutError:
            return self._not_sent(EgressFailed(TOO_LATE), request)
        headers = {
            name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON
        }
        stream = AnswerStream(self, answer, stack, until=until)
        return httpx2.Response(answer.status, headers=headers, stream=stream, request=request)

    def _not_sent(self, error: PlatformError, request: httpx2.Request) -> httpx2.Response:
        """An error of this request alone. If it were raised, the library would end the connection
        for all requests that are under way.
        """
        self.failure = self.failure or error
        key = str(len(self._not_sent_errors))
        self._not_sent_errors[key] = error
        details = {"code": NOT_SENT, "message": error.message, "data": key}
        message = {"jsonrpc": "2.0", "id": None, "error": details}
        return httpx2.Response(BAD_GATEWAY, json=message, request=request)

    def take_failure(self, key: object) -> PlatformError | None:
        """What a JSON-RPC error with the code `NOT_SENT` and these data stands for."""
        return self._not_sent_errors.pop(str(key), None)


def is_request(message: bytes) -> bool:
    """Whether an answer is expected. The library writes the names of members so."""
    return b'"method":' in message and b'"id":' in message


class AnswerStream(httpx2.AsyncByteStream):
    """The body of one answer. Closing it hangs up."""

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
        """The one kind of error that the library takes as one of this request alone."""
        self._transport.failure = self._transport.failure or error
        return httpx2.StreamError(error.message)

    async def aclose(self) -> None:
        await self._stack.aclose()
