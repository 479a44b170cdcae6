"""The root of every failure we expect.

* PlatformError
  x Rejected              400  wrong now and wrong if sent again
    + InvalidJson, MissingParameter, InvalidParameter
      - UnsupportedParameter   nothing here, or no engine of this kind, can honour it
    + BodyTooLarge        413
    + UnsupportedEncoding 415
    + MethodNotAllowed    405
  x Unauthenticated       401  we do not know this caller
  x Denied                403  we know the caller; the answer is no
  x NotFound              404  not in this tenant, which is all a caller may learn
  x Conflict              409  right in itself, but not with what is there
  x RateLimited           429  right, but too often
  x UpstreamError         502  an engine failed; nothing the caller could mend
  x Overloaded            503  right, but not now; carries `retry_after`
    + DatabaseAway, CacheUnavailable

Each context grows its own leaves in its own `errors.py`. An exception outside this tree is a bug.
The docstring of a class is its default message, so no error is without a sentence for people.
"""

import math
from collections.abc import Sequence
from typing import ClassVar


class PlatformError(Exception):
    """Something went wrong on our side. Try again; if it stays, contact the operator."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    kind: ClassVar[str] = "api_error"
    """The `type` of OpenAI's error object."""
    sdk_code: ClassVar[str] = ""
    """The `code` that OpenAI's SDKs look for, where ours is more precise: callers then read ours as
    the error's `reason`."""

    def __init__(
        self, message: str = "", *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`retry_after` is in seconds; `param` names the field of the request that is meant."""
        super().__init__(message or " ".join((self.__doc__ or self.code).split()))
        self.param = param
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """Safe to show to the caller: no secrets, SQL, addresses of replicas or stack traces."""
        return str(self)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that belong to this answer (CONTRACT §2)."""
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


class UnsupportedParameter(InvalidParameter):
    """This parameter is not supported here. Leave it out."""

    code = "unsupported_parameter"


class BodyTooLarge(Rejected):
    """The request body is larger than allowed. Send less."""

    code = "body_too_large"
    status = 413


class UnsupportedEncoding(Rejected):
    """Request bodies are not unpacked here. Send it without Content-Encoding."""

    code = "unsupported_encoding"
    status = 415


class MethodNotAllowed(Rejected):
    """This address does not answer to that method. See the Allow header."""

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
    """This conflicts with the current state. Read it again and decide anew."""

    code = "conflict"
    status = 409
    kind = "conflict_error"


class RateLimited(PlatformError):
    """Too many requests. Wait as long as Retry-After says."""

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
        standings: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """`scope_kind` says whose limit it is; `standings` are headers on how limits stand."""
        super().__init__(message, param=param, retry_after=retry_after)
        self.scope_kind = scope_kind
        self._standings = standings

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), *self._standings]


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


class DatabaseAway(Overloaded):
    """The database does not answer right now. Try again shortly."""

    code = "database_unavailable"


class CacheUnavailable(Overloaded):
    """Redis does not answer right now, or takes no writes. Try again shortly."""

    code = "cache_unavailable"


def every_leaf(root: type[PlatformError] = PlatformError) -> list[type[PlatformError]]:
    """Every class of the tree that is loaded, the root first."""
    return [root, *(leaf for child in root.__subclasses__() for leaf in every_leaf(child))]
