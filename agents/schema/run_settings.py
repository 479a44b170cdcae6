"""The settings of a request that its response repeats."""

from typing import Any

import msgspec

from agents.schema.json_types import Json


class RunSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of a request that its response repeats."""

    response_id: str
    model: str
    created_at: int
    """Seconds since 1970."""
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] | None = None
    tools: tuple[Json, ...] = ()
    tool_choice: str | Json = "auto"
    parallel_tool_calls: bool = True
    text: Json | None = None
    truncation: str = "disabled"
    previous_response_id: str | None = None
    conversation: str | None = None
    store: bool = True
    background: bool = False
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tool_calls: int | None = None
    reasoning: Json | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    stream_id: str | None = None
    fingerprint: str = ""

    def without_text(self) -> "RunSettings":
        """Return the settings without texts, for a run that is not to be stored."""
        return msgspec.structs.replace(self, instructions=None, metadata=None, tools=(), text=None)
