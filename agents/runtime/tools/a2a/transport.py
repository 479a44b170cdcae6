"""An HTTP transport for the A2A SDK that uses the egress client."""

import httpx

from kernel.egress.client import Egress, Request
from kernel.errors import PlatformError

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
CONNECTION_HEADERS = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding"}
)
DROPPED_HEADERS = frozenset({"content-length", "transfer-encoding", "content-encoding"})


class A2aEgressTransport(httpx.AsyncBaseTransport):
    """Sends whole requests and reads whole responses: no streams are used."""

    def __init__(self, egress: Egress, *, seconds: float) -> None:
        self._egress = egress
        self._seconds = seconds
        self.failure: PlatformError | None = None
        """The reason why a request could not be sent; the SDK does not pass it on."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outgoing = Request(
            method=request.method,
            url=str(request.url),
            headers={
                name: value
                for name, value in request.headers.items()
                if name.lower() not in CONNECTION_HEADERS
            },
            body=await request.aread(),
        )
        try:
            answer = await self._egress.fetch(
                outgoing, seconds=self._seconds, max_bytes=MAX_RESPONSE_BYTES
            )
        except PlatformError as error:
            self.failure = error
            raise httpx.ConnectError(error.message, request=request) from error
        headers = {
            name: value for name, value in answer.headers.items() if name not in DROPPED_HEADERS
        }
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)
