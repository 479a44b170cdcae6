"""Web pages of other origins: which may call the gateway, and how their browsers are told.

Source: the Fetch standard, "HTTP extensions for CORS". Keys are sent in a header, never in a
cookie, so no answer allows credentials.
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
USUAL_HEADERS = b"authorization, content-type, x-api-key, x-request-id"
SECONDS_TO_REMEMBER = b"600"


def is_allowed_origin(gateway: Gateway, origin: str) -> bool:
    """Whether a page of this origin may use the gateway, at REST and at sockets alike."""
    if origin in gateway.allowed_origins or ANY_ORIGIN in gateway.allowed_origins:
        return True
    try:
        return gateway.allow_loopback_origins and urlsplit(origin).hostname in LOOPBACK
    except ValueError:
        return False


class CrossOrigin:
    """Answers preflights, and lets allowed pages read the answers of `application`."""

    def __init__(self, application: Application, gateway: Gateway) -> None:
        self._application = application
        self._gateway = gateway

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine of its own, which each wait of every request would pass through."""
        origin = header(scope, b"origin")
        if origin is None or not is_allowed_origin(self._gateway, origin.decode("latin-1")):
            return self._application(scope, receive, send)
        is_preflight = header(scope, b"access-control-request-method") is not None
        if scope["method"] == "OPTIONS" and is_preflight:
            return respond(send, 204, b"", headers=preflight_headers(scope, origin))
        return self._application(scope, receive, readable_by(origin, send))


def preflight_headers(scope: Scope, origin: bytes) -> Headers:
    """What a page may ask. SDKs bring headers of their own, which are allowed as they are named."""
    asked = header(scope, b"access-control-request-headers") or b""
    names = asked if HEADER_NAMES.fullmatch(asked) else USUAL_HEADERS
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", names),
        (b"access-control-max-age", SECONDS_TO_REMEMBER),
        (b"vary", b"origin, access-control-request-headers"),
    ]


def readable_by(origin: bytes, send: Send) -> Send:
    """`send`, whose answers a page of `origin` may read, headers included."""
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
