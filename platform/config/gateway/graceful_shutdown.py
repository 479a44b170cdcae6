"""Shuts a gateway worker down: it becomes unready, then stops listening, then ends.

uvicorn stops listening when it gets SIGTERM. Requests that a load balancer still sends would be
refused, and a request on a connection that it holds open would be lost. So the worker serves
requests for some seconds with `/readyz` at 503 and `Connection: close` on each response; then
uvicorn gets the signal, and lets active requests finish.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from types import FrameType

from kernel.asgi import Application, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CLOSE = (b"connection", b"close")


class GracefulShutdown:
    """The state of a shutdown, in which the worker serves requests for `seconds`."""

    def __init__(self, *, seconds: float) -> None:
        self.has_started = False
        self._seconds = seconds
        self._stops_at: float | None = None

    def install_signal_handlers(self) -> None:
        """Replace the server's handler of SIGTERM. Call it in the running loop.

        SIGINT is not handled, because it comes from a person who waits. A loop outside of the main
        thread gets no signals.
        """
        servers = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(servers):
            return
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.has_started:
                servers(number, frame)
                return
            self.begin()
            # A signal may interrupt the loop at any point.
            loop.call_soon_threadsafe(loop.call_later, self._seconds, servers, number, frame)

        signal.signal(signal.SIGTERM, on_signal)

    def begin(self) -> None:
        """Make the worker unready, and start the time until the server stops."""
        self.has_started = True
        self._stops_at = time.monotonic() + self._seconds
        log.info("gateway: shutting down (drain_seconds=%g)", self._seconds)

    def remaining_seconds(self, seconds: float) -> float:
        """Return the rest of `seconds`, counted from the time when the server stopped listening."""
        if self._stops_at is None:
            return seconds
        return max(0.0, seconds - max(0.0, time.monotonic() - self._stops_at))

    def shutdown_now(self) -> None:
        """End this worker at once, because a component that it needs has failed."""
        self.has_started = True
        os.kill(os.getpid(), signal.SIGTERM)

    def with_connection_close(self, application: Application) -> Application:
        """Wrap `application` so that its responses close their connection during a shutdown."""

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            if self.has_started:
                await application(scope, receive, closing(send))
            else:
                await application(scope, receive, send)

        return wrapped


def closing(send: Send) -> Send:
    """Wrap `send` so that responses tell clients to close the connection."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
        await send(message)

    return send_closing
