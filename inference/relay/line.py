"""The connection under an answer: noticed when it is lost, and never used with something on it."""

import asyncio
from typing import Any

import aiohttp
from aiohttp.tracing import Trace

from inference.errors import UpstreamBroken

MOST_CONNECTIONS = 10
"""That are looked at for one request, where an engine talks before it is asked."""


class Line:
    """What one answer comes through, until the answer is left.

    aiohttp's parser tells a violation of HTTP in the middle of a body to its connection alone: it
    closes it, and whoever reads the body would wait until its patience ends.
    """

    __slots__ = ("_closed", "_content")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        # An answer that is here as a whole has given its connection back.
        protocol = response.connection.protocol if response.connection is not None else None
        self._closed = protocol.closed if protocol is not None else None
        if self._closed is not None:
            self._closed.remove_done_callback(notice)
            self._closed.add_done_callback(self._lost)
        elif protocol is not None:
            self._break_off()

    def leave(self) -> None:
        """What happens to the connection from now on is nothing to this answer."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
            self._closed.add_done_callback(notice)
            self._closed = None

    def _lost(self, closed: asyncio.Future[None]) -> None:
        notice(closed)
        self._break_off()

    def _break_off(self) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(UpstreamBroken())


def notice(closed: asyncio.Future[None]) -> None:
    """A connection that nobody uses may be lost in any way."""
    if not closed.cancelled():
        closed.exception()


class Connector(aiohttp.TCPConnector):
    """Gives no request a connection on which an engine has said what nobody asked it for.

    aiohttp would take it for the answer to the next request: one tenant's, given to another.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Any:
        """As aiohttp's. Raises ClientConnectionError if every connection is spoken on."""
        for _ in range(MOST_CONNECTIONS):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        raise aiohttp.ClientConnectionError("the engine talks before it is asked")
