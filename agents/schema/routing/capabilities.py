"""The capabilities of an agent, as values: a word, and optional schemas of input and output."""

import msgspec

from agents.schema.json_types import Json


class CapabilitySchemas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON schemas of a capability; None accepts any value."""

    input: Json | None = None
    output: Json | None = None


NO_SCHEMAS = CapabilitySchemas()
