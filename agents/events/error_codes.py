"""The error of a failed response: a code of OpenAI's list, and the platform's own as `reason`."""

from agents.events.responses_names import responses_name
from agents.schema.json_types import Json
from kernel.errors import PlatformError, RateLimited, Rejected, every_leaf

SERVER_ERROR = "server_error"
"""OpenAI's `ResponseErrorCode` for every error without a code of its own."""


def response_error(error: PlatformError) -> Json:
    """Return the `error` of a response object."""
    return {
        "code": response_code(type(error)),
        "message": error.message,
        "type": error.kind,
        "param": responses_name(error.param),
        "reason": error.code,
    }


def error_of_record(stored: Json) -> Json:
    """Return the `error` of a response object, from the error that the table stores."""
    found = next((leaf for leaf in every_leaf() if leaf.code == stored["code"]), None)
    return {
        "code": response_code(found) if found else SERVER_ERROR,
        "message": stored["message"],
        "type": (found or PlatformError).kind,
        "param": responses_name(stored.get("param")),
        "reason": stored["code"],
    }


def response_code(error: type[PlatformError]) -> str:
    """Return one of OpenAI's `ResponseErrorCode`s."""
    if issubclass(error, RateLimited):
        return "rate_limit_exceeded"
    return "invalid_prompt" if issubclass(error, Rejected) else SERVER_ERROR
