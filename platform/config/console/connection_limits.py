"""Limits of Daphne's connections: slow and large requests are refused.

Twisted itself limits heads (16 KiB), trailers and idle time (60 s), but not slow senders.
"""

import time
from typing import Any

from daphne.http_protocol import HTTPFactory
from twisted.web.http import HTTPChannel

from config.client_limits import HEAD_TIMEOUT_SECONDS, is_body_late

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Daphne buffers a whole body before the sender is authenticated."""
TOO_SLOW = (b"408 Request Timeout", b"The request did not arrive in time. Send it without pauses.")
TOO_LARGE = (b"413 Content Too Large", b"The request body is larger than 32 MiB. Send less.")


class BoundedChannel(HTTPChannel):
    """One connection of a client."""

    _head_since: float | None = None
    """Set from the first byte of a request on; None between requests."""
    _body_since: float | None = None
    _body_bytes = 0

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        now = time.monotonic()
        if self._handlingRequest:
            self._head_since = self._body_since = None
        elif self._body_since is not None:
            self._body_bytes += len(data)
            if self._body_bytes > MAX_BODY_BYTES:
                self._refuse(*TOO_LARGE)
                return
            seconds = now - self._body_since
            if is_body_late(seconds=seconds, silent=0.0, received=self._body_bytes):
                self._refuse(*TOO_SLOW)
                return
        elif self._head_since is None:
            self._head_since = now
        elif now - self._head_since > HEAD_TIMEOUT_SECONDS:
            self._refuse(*TOO_SLOW)
            return
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # as all of Twisted's methods

    def allHeadersReceived(self) -> None:  # noqa: N802
        self._head_since, self._body_since = None, time.monotonic()
        self._body_bytes = 0
        super().allHeadersReceived()  # type: ignore[no-untyped-call]

    def allContentReceived(self) -> None:  # noqa: N802
        self._body_since = None
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def _refuse(self, status: bytes, sentence: bytes) -> None:
        transport: Any = self.transport
        transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, len(sentence), sentence)
        )
        transport.loseConnection()


def limit_clients() -> None:
    """Install the limits in Daphne, for this process."""
    HTTPFactory.protocol = BoundedChannel
