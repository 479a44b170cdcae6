"""Classification of engine errors: by the status, then the error code, then the message."""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from inference.errors import ContextLengthExceeded, UpstreamRateLimited
from inference.relay.usage import UNREADABLE
from kernel.errors import InvalidParameter, Overloaded, PlatformError, Rejected, UpstreamError

MAX_MESSAGE_CHARS: Final = 500
MAX_PARAM_CHARS: Final = 100
DEFAULT_RETRY_AFTER_SECONDS: Final = 1.0
MAX_RETRY_AFTER_SECONDS: Final = 24 * 3600.0

BAD_REQUEST: Final = 400
TOO_LARGE: Final = 413
COMPLAINTS: Final = frozenset({BAD_REQUEST, TOO_LARGE, 422})
"""Statuses with which an engine rejects the request itself. Every other error status is a failure
of the endpoint: the gateway calls two fixed paths with its own credential, so the caller does not
cause a 401 or 404, and another endpoint may succeed."""
RATE_LIMITED: Final = 429
BUSY: Final = frozenset({503, 529})

STATUS: Final = re.compile(r"[45][0-9]{2}", re.ASCII)
CONTEXT_CODES: Final = re.compile(
    r"context_(?:length|window|size)|(?:prompt|input)_too_long|exceed_context", re.IGNORECASE
)
CONTEXT_WORDS: Final = re.compile(
    r"context[ _-]?(?:length|window|size)|max(?:imum)?[ _](?:model|sequence|input)[ _]len(?:gth)?"
    r"|max_(?:model_len|seq_len|input_tokens)|(?:prompt|input) is too long|max_new_tokens` must be"
    r"|token count .{0,40}exceeds|too many (?:input )?tokens",
    re.IGNORECASE | re.DOTALL,
)
GENERIC_CODES: Final = frozenset(
    {"", "bad_request", "badrequesterror", "invalid_request", "invalid_request_error"}
)
"""Codes that add nothing to the status 400."""
ENDPOINT_CODES: Final = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "billing_not_active",
        "deploymentnotfound",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
    }
)
"""Codes about the operator's account or engine: the caller cannot fix them."""
RATE_CODES: Final = frozenset({"rate_limit_error", "rate_limit_exceeded", "requests", "tokens"})
REQUEST_TYPES: Final = frozenset({"invalid_request_error", "badrequesterror"})


def failure_of(
    status: int, body: bytes = b"", *, headers: Mapping[bytes, bytes] | None = None
) -> PlatformError:
    """Return the error for a status and body.

    Only messages about the request itself are passed to the caller.
    """
    wait = retry_after(headers or {})
    if status == RATE_LIMITED:
        return UpstreamRateLimited(retry_after=wait or DEFAULT_RETRY_AFTER_SECONDS)
    if status in BUSY:
        return Overloaded(retry_after=wait or DEFAULT_RETRY_AFTER_SECONDS)
    if status not in COMPLAINTS:
        return UpstreamError(retry_after=wait)
    error = error_in(body)
    if error is None and status != TOO_LARGE and body.lstrip()[:1] == b"<":
        return UpstreamError()  # the page of a proxy, not a response of the engine
    return complaint(error)


def failure_of_error(error: Any) -> PlatformError:
    """Return the failure in an error object that came with status 200, or in a stream."""
    status = status_of(error) or implied_status(error)
    return complaint(error) if status in COMPLAINTS else failure_of(status)


def implied_status(error: Any) -> int:
    """Return the HTTP status that the code or type of an error object implies; 0 for none."""
    code, kind = text_of(error, "code").lower(), text_of(error, "type").lower()
    if code in RATE_CODES or kind in RATE_CODES:
        return RATE_LIMITED
    if CONTEXT_CODES.search(code) or kind in REQUEST_TYPES:
        return BAD_REQUEST
    return 0


def complaint(error: Any) -> PlatformError:
    """Return the rejection of a request; UpstreamError if it is about the operator's account."""
    codes = [text_of(error, "code"), text_of(error, "type")]
    if any(code.lower() in ENDPOINT_CODES for code in codes):
        return UpstreamError()
    message, param = message_of(error), param_of(error)
    refusal: type[Rejected] = InvalidParameter
    says_so = is_generic(codes[0]) and CONTEXT_WORDS.search(message)
    if says_so or any(map(CONTEXT_CODES.search, codes)):
        refusal = ContextLengthExceeded
    return refusal(message, param=param)


def is_generic(code: str) -> bool:
    return code.isdigit() or code.lower() in GENERIC_CODES


def error_in(body: bytes) -> Any:
    """Return the error object in the body of a rejection, in any of the usual formats, or None."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        return None
    # OpenAI's `{"error": {...}}`; FastAPI's `{"detail": ...}`; an object that is the error itself.
    return answer.get("error") or answer


def status_of(error: Any) -> int:
    """Return the HTTP status in the code of an error object; 0 without one."""
    if not isinstance(error, Mapping):
        return 0
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and STATUS.fullmatch(value):
            value = int(value)
        if type(value) is int and STATUS.fullmatch(str(value)):
            return value
    return 0


def text_of(error: Any, name: str) -> str:
    value = error.get(name) if isinstance(error, Mapping) else None
    return value if isinstance(value, str) else ""


def message_of(error: Any) -> str:
    """Return the engine's message, shortened; empty if it has none."""
    if isinstance(error, str):
        return error[:MAX_MESSAGE_CHARS]
    if not isinstance(error, Mapping):
        return ""
    for name in ("message", "error_msg", "detail", "msg"):
        value = error.get(name)
        if isinstance(value, list) and value:
            return located(value[0])[:MAX_MESSAGE_CHARS]
        if value:
            return message_of(value)
    return ""


def located(error: Any) -> str:
    """Return the message of one of FastAPI's validation errors, after the parameter's name."""
    message, param = message_of(error), param_of(error)
    return f"{param}: {message}" if param and message else message


def param_of(error: Any) -> str | None:
    """Return the parameter that an error names, in OpenAI's or FastAPI's format."""
    if not isinstance(error, Mapping):
        return None
    if isinstance(error.get("detail"), list) and error["detail"]:
        return param_of(error["detail"][0])
    places = error.get("loc")
    if isinstance(places, list | tuple):
        named = [str(each) for each in places if each != "body"]
        return ".".join(named)[:MAX_PARAM_CHARS] or None
    param = error.get("param")
    return param[:MAX_PARAM_CHARS] if isinstance(param, str) and param else None


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the seconds in the engine's Retry-After header, a number or a date; None without."""
    for name, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        seconds = seconds_in(headers.get(name, b"").decode("latin-1").strip())
        if seconds is not None and seconds > 0:
            return min(seconds / unit, MAX_RETRY_AFTER_SECONDS)
    return None


def seconds_in(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return seconds_until(text)
    return number if math.isfinite(number) else None


def seconds_until(date: str) -> float | None:
    """Return the seconds until an HTTP date (RFC 9110 §10.2.3); None for anything else."""
    try:
        return math.ceil(parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
