"""The result of a call over MCP, without the types of the library."""

from typing import Any

import msgspec

from agents.schema.items import OutputPart


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a call. An error is a text that the calling model reads."""

    text: str
    is_error: bool = False
    structured: dict[str, Any] | None = None
    """The result as an object, for an agent with an output schema."""
    parts: tuple[OutputPart, ...] = ()
    """The result in parts, if it contains more than text."""
    meta: dict[str, str] = {}
    """Names in `_meta`: the response's id, and the code of an error."""
