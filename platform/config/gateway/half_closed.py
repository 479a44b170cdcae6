"""A client that sends nothing more: it waits for its answer, or it has gone.

TCP says the same of both. The difference shows when something is sent: the machine of a client
that has gone refuses it. So the first bytes of the answer, which are the same for every answer,
are sent ahead, one at a time.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.gateway.joined_heads import JoinedHeads

PROBES_SECONDS = (0.0, 0.02, 0.1, 0.5, 2.0, 8.0, 30.0)
"""After the client has closed its side. The first is refused, the next one learns it."""


class HalfClosed:
    """Finds out whether the client is still there, until its answer begins."""

    __slots__ = ("_connection", "_timers", "_transport")

    def __init__(self, connection: HttpToolsProtocol, transport: JoinedHeads) -> None:
        self._connection = connection
        self._transport = transport
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self) -> bool:
        """Whether to keep the connection: an answer is due, and nothing of it was sent.

        Who leaves in the middle of an answer has gone: clients that want all of it wait.
        """
        cycle = self._connection.cycle
        if cycle.response_started:
            return False
        cycle.keep_alive = False
        if self._connection.pipeline:
            return True  # what is sent for an earlier request shows it
        loop = self._connection.loop
        self._timers = [loop.call_later(after, self._probe) for after in PROBES_SECONDS]
        return True

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _probe(self) -> None:
        if self._connection.cycle.response_started or self._transport.is_closing():
            self.stop()
        else:
            self._transport.send_ahead()
