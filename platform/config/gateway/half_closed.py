"""Detects whether a client that has closed its sending side is still connected.

It may wait for its response, or it may have disconnected: TCP reports both in the same way. Only
sending shows the difference, because the machine of a disconnected client refuses the data. So
the first bytes, which are the same for every response, are sent early, one at a time.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.gateway.joined_heads import JoinedHeads

PROBES_SECONDS = (0.0, 0.02, 0.1, 0.5, 2.0, 8.0, 30.0)
"""Times after the client has closed its side. The first probe is refused, the next detects it."""


class HalfClosed:
    """Detects whether a half-closed client is still connected, until its response starts."""

    __slots__ = ("_connection", "_timers", "_transport")

    def __init__(self, connection: HttpToolsProtocol, transport: JoinedHeads) -> None:
        self._connection = connection
        self._transport = transport
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self) -> bool:
        """Start probes. Returns whether to keep the connection, because a response has not started.

        A client that closes its side during a response has left: others wait for its end.
        """
        cycle = self._connection.cycle
        if cycle.response_started:
            return False
        cycle.keep_alive = False
        if self._connection.pipeline:
            return True  # the response to the earlier request detects a disconnect
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
