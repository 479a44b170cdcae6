"""How a gateway worker leaves: first it says so, then it stops listening, then it ends.

uvicorn stops listening as soon as it hears SIGTERM. A load balancer that still sends requests would
get them refused, and one that kept a connection open would lose the request it is writing. So for
a moment the worker goes on serving, with `/readyz` at 503 and `Connection: close` on each answer;
then uvicorn gets the signal, and lets what runs finish.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from kernel.asgi import Application, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CLOSE = (b"connection", b"close")
OnSignal = Callable[[int, FrameType | None], Any]


class GracefulShutdown:
    """Whether this worker is leaving. `seconds` is how long it goes on serving then."""

    def __init__(self, *, seconds: float) -> None:
        self.has_begun = False
        self._seconds = seconds
        self._stops_at: float | None = None

    def hear_signals(self) -> None:
        """Stand in front of the server's own handler of SIGTERM. Call it in the running loop.

        SIGINT is left alone: it comes from a person, who waits. So is a loop beside the main
        thread, which hears no signals.
        """
        servers = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(servers):
            return
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.has_begun:
                servers(number, frame)
                return
            self.begin()
            # A signal may come in the middle of the loop's own work.
            loop.call_soon_threadsafe(loop.call_later, self._seconds, servers, number, frame)

        signal.signal(signal.SIGTERM, on_signal)

    def begin(self) -> None:
        """From now on this worker is not ready."""
        self.has_begun = True
        self._stops_at = time.monotonic() + self._seconds
        log.info("gateway: shutting down (drain_seconds=%g)", self._seconds)

    def patience_left(self, seconds: float) -> float:
        """How much is left of `seconds` that began when the server stopped listening."""
        if self._stops_at is None:
            return seconds
        return max(0.0, seconds - max(0.0, time.monotonic() - self._stops_at))

    def shutdown_now(self) -> None:
        """End this worker without serving any longer: something that it needs is broken."""
        self.has_begun = True
        os.kill(os.getpid(), signal.SIGTERM)

    def announced(self, application: Application) -> Application:
        """`application`, whose answers say that their connection ends once the worker leaves."""

        async def announcing(scope: Scope, receive: Receive, send: Send) -> None:
            if self.has_begun:
                await application(scope, receive, closing(send))
            else:
                await application(scope, receive, send)

        return announcing


def closing(send: Send) -> Send:
    """`send` that tells clients not to use this connection again."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
        await send(message)

    return send_closing
