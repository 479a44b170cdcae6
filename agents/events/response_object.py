"""The response object of Open Responses 2026-04-24: the echoed request, and the output."""

from collections.abc import Sequence
from typing import Any

from agents.schema.items import Item, client_json
from agents.schema.json_types import Json
from agents.schema.run_settings import RunSettings
from tenants.admission.usage.records import Usage

# Members that the schema requires and that are always the same here.
UNCHANGING: Json = {
    "object": "response",
    "completed_at": None,
    "incomplete_details": None,
    "error": None,
    "top_logprobs": 0,
    "service_tier": "default",
}
TEXT: Json = {"format": {"type": "text"}}


def response_object(
    settings: RunSettings,
    status: str,
    *,
    output: Sequence[Item] = (),
    usage: Usage | None = None,
    **changed: Any,
) -> Json:
    """Return the response with its output so far. Outputs of the agent's tools are listed too."""
    place = settings.conversation
    return {
        **UNCHANGING,
        "id": settings.response_id,
        "created_at": settings.created_at,
        "status": status,
        "model": settings.model,
        "instructions": settings.instructions,
        "output": [client_json(item) for item in output],
        "tools": settings.tools,
        "tool_choice": settings.tool_choice,
        "parallel_tool_calls": settings.parallel_tool_calls,
        "truncation": settings.truncation,
        "text": settings.text or TEXT,
        "temperature": 1.0 if settings.temperature is None else settings.temperature,
        "top_p": 1.0 if settings.top_p is None else settings.top_p,
        "presence_penalty": settings.presence_penalty or 0.0,
        "frequency_penalty": settings.frequency_penalty or 0.0,
        "reasoning": settings.reasoning,
        "max_tool_calls": settings.max_tool_calls,
        "safety_identifier": settings.safety_identifier,
        "prompt_cache_key": settings.prompt_cache_key,
        "user": settings.user,
        "max_output_tokens": settings.max_output_tokens,
        "metadata": settings.metadata or {},
        "previous_response_id": settings.previous_response_id,
        "conversation": {"id": place} if place else None,
        "store": settings.store,
        "background": settings.background,
        "usage": usage_object(usage) if usage else None,
        **changed,
    }


def usage_object(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
