"""Why a response failed, in the words of OpenAI's list; the precise code stands beside it."""

from agents.events.own_names import own_name
from agents.schema.json_types import Json
from kernel.errors import PlatformError, RateLimited, Rejected, every_leaf

SERVER_ERROR = "server_error"
"""Of OpenAI's `ResponseErrorCode`s, for whatever has no other."""


def response_error(error: PlatformError) -> Json:
    """The `error` of a response object."""
    return {
        "code": response_code(type(error)),
        "message": error.message,
        "type": error.kind,
        "param": own_name(error.param),
        "reason": error.code,
    }


def known_error(kept: Json) -> Json:
    """The same of what the table keeps of an error: its code and its message."""
    found = next((leaf for leaf in every_leaf() if leaf.code == kept["code"]), None)
    return {
        "code": response_code(found) if found else SERVER_ERROR,
        "message": kept["message"],
        "type": (found or PlatformError).kind,
        "param": own_name(kept.get("param")),
        "reason": kept["code"],
    }


def response_code(error: type[PlatformError]) -> str:
    """One of OpenAI's `ResponseErrorCode`s."""
    if issubclass(error, RateLimited):
        return "rate_limit_exceeded"
    return "invalid_prompt" if issubclass(error, Rejected) else SERVER_ERROR
