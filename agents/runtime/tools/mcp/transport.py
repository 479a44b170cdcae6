"""HTTP for the MCP library that goes through our one egress client, and nowhere else."""

import httpx2

from kernel.egress import Egress, EgressFailed, Request
from kernel.egress_rules import TargetRefused
from kernel.errors import PlatformError

MOST_BYTES = 4 * 1024 * 1024
BYE_SECONDS = 0.5
"""For which the end of a session is told: nobody waits for it."""
OF_THE_CONNECTION = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding"}
)


class EgressTransport(httpx2.AsyncBaseTransport):
    """Answers are read to their end, as event streams too: a server ends one with its answer.

    The listening stream of older servers is never opened, as they allow (405).
    """

    def __init__(self, egress: Egress, *, seconds: float) -> None:
        self._egress = egress
        self._seconds = seconds
        self.failure: PlatformError | None = None
        """Why a request could not be made; the library tells only that it was not."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(405, request=request)
        seconds = BYE_SECONDS if request.method == "DELETE" else self._seconds
        asked = Request(
            method=request.method,
            url=str(request.url),
            headers={
                name: value
                for name, value in request.headers.items()
                if name.lower() not in OF_THE_CONNECTION
            },
            body=await request.aread(),
        )
        try:
            answer = await self._egress.fetch(asked, seconds=seconds, most_bytes=MOST_BYTES)
        except (TargetRefused, EgressFailed) as error:
            self.failure = self.failure or error
            raise httpx2.ConnectError("not sent", request=request) from None
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"content-length", "transfer-encoding", "content-encoding"}
        }
        return httpx2.Response(answer.status, headers=headers, content=answer.body, request=request)
