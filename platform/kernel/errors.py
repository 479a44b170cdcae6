"""The root of the tree of expected errors.

* PlatformError
    x Rejected              400  invalid, also if it is sent again
    + InvalidJson, MissingParameter, InvalidParameter
            - UnsupportedParameter   not supported by the platform, or by engines of this kind
            - UnstorableValue        PostgreSQL refuses it
    + BodyTooLarge        413
    + UnsupportedEncoding 415
    + MethodNotAllowed    405
    x Unauthenticated       401  the caller is unknown
    x Denied                403  the caller is known, but not allowed
    x NotFound              404  not in this tenant; no more is disclosed
    x Conflict              409  valid, but in conflict with the current state
    x RateLimited           429  valid, but over a limit
    x UpstreamError         502  an engine failed; the caller cannot correct it
    x Overloaded            503  valid, but not possible now; has `retry_after`
    + DatabaseUnavailable, CacheUnavailable

Each context defines its own leaves in its own `errors.py`. An exception outside this tree is a bug.
The docstring of a class is its default message, so that every error has a text for people.
"""

import math
from collections.abc import Sequence
from typing import ClassVar


class PlatformError(Exception):
    """An internal error occurred. Try again; if it persists, contact the operator."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    kind: ClassVar[str] = "api_error"
    """The `type` of OpenAI's error object."""
    sdk_code: ClassVar[str] = ""
    """The `code` that OpenAI's SDKs expect, if it differs from ours; ours is then the error's
    `reason`."""

    def __init__(
        self, message: str = "", *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`retry_after` is in seconds; `param` is the name of the wrong field of the request."""
        super().__init__(message or " ".join((self.__doc__ or self.code).split()))
        self.param = param
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """A text for the client, without secrets, SQL, addresses of replicas or stack traces."""
        return str(self)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Response headers of this error (protocols.md, "Errors")."""
        if self.retry_after is None:
            return []
        return [
            (b"retry-after", b"%d" % math.ceil(self.retry_after)),
            (b"retry-after-ms", b"%d" % math.ceil(self.retry_after * 1000)),
        ]


class Rejected(PlatformError):
    """The request is not valid."""

    code = "invalid_request"
    status = 400
    kind = "invalid_request_error"


class InvalidJson(Rejected):
    """The request body is not valid JSON. Send one JSON object."""

    code = "invalid_json"


class MissingParameter(Rejected):
    """A required parameter is missing."""

    code = "missing_parameter"


class InvalidParameter(Rejected):
    """A parameter has a value that is not allowed."""

    code = "invalid_parameter"


class UnstorableValue(InvalidParameter):
    """The request has a value that cannot be stored, for example U+0000. Leave it out."""

    code = "unstorable_value"


class UnsupportedParameter(InvalidParameter):
    """This parameter is not supported here. Leave it out."""

    code = "unsupported_parameter"


class BodyTooLarge(Rejected):
    """The request body is larger than allowed. Send less."""

    code = "body_too_large"
    status = 413


class UnsupportedEncoding(Rejected):
    """Compressed request bodies are not supported. Send it without Content-Encoding."""

    code = "unsupported_encoding"
    status = 415


class MethodNotAllowed(Rejected):
    """This address does not support the method. See the Allow header."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str = "", *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"allow", self.allow.encode())]


class Unauthenticated(PlatformError):
    """Authentication is required. Send `Authorization: Bearer <your API key>`."""

    code = "unauthenticated"
    status = 401
    kind = "authentication_error"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"www-authenticate", b"Bearer")]


class Denied(PlatformError):
    """This is not allowed for you."""

    code = "permission_denied"
    status = 403
    kind = "permission_error"


class NotFound(PlatformError):
    """There is no such object here."""

    code = "not_found"
    status = 404
    kind = "not_found_error"


class Conflict(PlatformError):
    """This conflicts with the current state. Read it again before you retry."""

    code = "conflict"
    status = 409
    kind = "conflict_error"


class RateLimited(PlatformError):
    """Too many requests. Wait for the time in Retry-After."""

    code = "rate_limited"
    status = 429
    kind = "rate_limit_error"

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        retry_after: float | None = None,
        scope_kind: str = "request",
        limit_headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """`scope_kind` is the owner of the limit; `limit_headers` describe the limits."""
        super().__init__(message, param=param, retry_after=retry_after)
        self.scope_kind = scope_kind
        self._limit_headers = limit_headers

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), *self._limit_headers]


class UpstreamError(PlatformError):
    """The model failed to answer. Try again."""

    code = "upstream_failed"
    status = 502
    kind = "server_error"


class Overloaded(PlatformError):
    """There is no capacity for this request right now. Try again shortly."""

    code = "overloaded"
    status = 503
    kind = "overloaded_error"

    def __init__(
        self, message: str = "", *, param: str | None = None, retry_after: float | None = 1.0
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)


class DatabaseUnavailable(Overloaded):
    """The database is unavailable right now. Try again shortly."""

    code = "database_unavailable"


class CacheUnavailable(Overloaded):
    """Redis is unavailable right now. Try again shortly."""

    code = "cache_unavailable"


def every_leaf(root: type[PlatformError] = PlatformError) -> list[type[PlatformError]]:
    """Return all loaded classes of the tree, the root first."""
    return [root, *(leaf for child in root.__subclasses__() for leaf in every_leaf(child))]
