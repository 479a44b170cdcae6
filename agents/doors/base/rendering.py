"""The error tree as tenants see it (CONTRACT §2): one function for each way of telling it."""

from typing import Any

import msgspec

from kernel.errors import PlatformError

STATUS_OF_BUG = 500


def error_object(error: PlatformError) -> dict[str, Any]:
    """OpenAI's error object. `reason` is our own code, where SDKs look for another one."""
    problem = {
        "message": error.message,
        "type": error.kind,
        "code": error.sdk_code or error.code,
        "param": error.param,
    }
    if error.sdk_code:
        problem["reason"] = error.code
    return {"error": problem}


def error_event(error: PlatformError) -> bytes:
    """An error after the first byte of an event stream, and the stream's end."""
    return b"event: error\ndata: %b\n\ndata: [DONE]\n\n" % msgspec.json.encode(error_object(error))


def error_frame(error: PlatformError, **context: str) -> dict[str, Any]:
    """The error as a frame of the socket protocol (CONTRACT §3)."""
    return {"type": "error", "status": error.status, **error_object(error), **context}
