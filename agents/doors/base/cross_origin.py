"""CORS: which origins may call the gateway, and the headers for it.

Source: the Fetch standard, "HTTP extensions for CORS". Keys are sent in a header, never in a
cookie, so no response allows credentials.
"""

import re
from collections.abc import Awaitable
from urllib.parse import urlsplit

from agents.doors.base.gateway import Gateway
from kernel.asgi import Application, Headers, Message, Receive, Scope, Send, header, respond

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ORIGIN = "*"
METHODS = b"DELETE, GET, HEAD, PATCH, POST, PUT"
HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")
DEFAULT_ALLOWED_HEADERS = b"authorization, content-type, x-api-key, x-request-id"
PREFLIGHT_MAX_AGE_SECONDS = b"600"


def is_allowed_origin(gateway: Gateway, origin: str) -> bool:
    """Return whether pages of this origin may use the gateway, over HTTP and WebSocket."""
    if origin in gateway.allowed_origins or ANY_ORIGIN in gateway.allowed_origins:
        return True
    try:
        return gateway.allow_loopback_origins and urlsplit(origin).hostname in LOOPBACK
    except ValueError:
        return False


class CrossOrigin:
    """Middleware that answers preflight requests and adds CORS headers to responses."""

    def __init__(self, application: Application, gateway: Gateway) -> None:
        self._application = application
        self._gateway = gateway

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return an awaitable of the response. A coroutine would slow every await of a request."""
        origin = header(scope, b"origin")
        if origin is None or not is_allowed_origin(self._gateway, origin.decode("latin-1")):
            return self._application(scope, receive, send)
        is_preflight = header(scope, b"access-control-request-method") is not None
        if scope["method"] == "OPTIONS" and is_preflight:
            return respond(send, 204, b"", headers=preflight_headers(scope, origin))
        return self._application(scope, receive, with_cors_headers(origin, send))


def preflight_headers(scope: Scope, origin: bytes) -> Headers:
    """Return the headers of a preflight response.

    It allows all request headers that the page names, because SDKs have headers of their own.
    """
    requested = header(scope, b"access-control-request-headers") or b""
    names = requested if HEADER_NAMES.fullmatch(requested) else DEFAULT_ALLOWED_HEADERS
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", names),
        (b"access-control-max-age", PREFLIGHT_MAX_AGE_SECONDS),
        (b"vary", b"origin, access-control-request-headers"),
    ]


def with_cors_headers(origin: bytes, send: Send) -> Send:
    """Wrap `send` so that pages of `origin` may read responses and their headers."""
    allowed = [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"origin"),
    ]

    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *allowed]}
        await send(message)

    return send_readable
