"""Renders errors for clients (protocols.md, "Errors"), with one function per protocol."""

from typing import Any

import msgspec

from kernel.errors import PlatformError

STATUS_OF_BUG = 500


def error_object(error: PlatformError) -> dict[str, Any]:
    """OpenAI's error object. `reason` is our own code, if `code` is one that SDKs expect."""
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
    """Return an error event and the end of the stream, for a stream that has started."""
    return b"event: error\ndata: %b\n\ndata: [DONE]\n\n" % msgspec.json.encode(error_object(error))


def error_frame(error: PlatformError, **context: str) -> dict[str, Any]:
    """Return the error as a frame of the socket protocol (protocols.md, "Socket")."""
    return {"type": "error", "status": error.status, **error_object(error), **context}
