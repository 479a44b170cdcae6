"""Errors of the platform in the two bindings of A2A.

The errors that A2A defines are rendered by the SDK; these are the others: keys, limits, outages.
Sources: A2A 1.0, sections 9.5 and 11.6; google.rpc.Status.
"""

from collections.abc import Mapping

import msgspec

from agents.schema.json_types import Json
from kernel.errors import PlatformError

DOMAIN = "tenantry"
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
GRPC_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class Envelope(msgspec.Struct):
    """The member of a JSON-RPC request that its response repeats."""

    id: str | int | None = None


def request_id_of(body: bytes) -> str | int | None:
    """Return the id of a JSON-RPC request, or None if it has none that can be read."""
    try:
        return msgspec.json.decode(body, type=Envelope).id
    except msgspec.DecodeError:
        return None


def details_of(error: PlatformError) -> list[Json]:
    metadata = {"param": error.param} if error.param else {}
    return [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": DOMAIN,
            "metadata": metadata,
        }
    ]


def rpc_error(error: PlatformError, *, request_id: str | int | None = None) -> Json:
    """Return the error as a JSON-RPC response. The HTTP status is the error's own."""
    is_of_client = error.status < 500  # noqa: PLR2004 - HTTP's classes of status codes
    problem = {
        "code": INVALID_REQUEST if is_of_client else INTERNAL_ERROR,
        "message": error.message,
        "data": details_of(error),
    }
    return {"jsonrpc": "2.0", "id": request_id, "error": problem}


def rest_error(error: PlatformError) -> Json:
    """Return the error as a google.rpc.Status, as the HTTP+JSON binding has it."""
    problem = {
        "code": error.status,
        "status": GRPC_STATUS.get(error.status, "INTERNAL"),
        "message": error.message,
        "details": details_of(error),
    }
    return {"error": problem}
