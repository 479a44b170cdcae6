"""The response object of Open Responses 2026-04-24: what a run echoes, and what it made."""

from collections.abc import Sequence
from typing import Any

from agents.events.event import Json
from agents.events.run_settings import RunSettings
from agents.runtime.items import Item, item_json
from tenants.admission.usage import Usage

# What the schema requires of every response and we do not vary.
UNCHANGING: Json = {
    "object": "response",
    "completed_at": None,
    "incomplete_details": None,
    "error": None,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "reasoning": None,
    "max_tool_calls": None,
    "service_tier": "default",
    "safety_identifier": None,
    "prompt_cache_key": None,
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
    """The response as it stands. Tool results are ours, not the model's, and are listed too."""
    place = settings.conversation
    return {
        **UNCHANGING,
        "id": settings.response_id,
        "created_at": settings.created_at,
        "status": status,
        "model": settings.model,
        "instructions": settings.instructions,
        "output": [item_json(item) for item in output],
        "tools": settings.tools,
        "tool_choice": settings.tool_choice,
        "parallel_tool_calls": settings.parallel_tool_calls,
        "truncation": settings.truncation,
        "text": settings.text or TEXT,
        "temperature": 1.0 if settings.temperature is None else settings.temperature,
        "top_p": 1.0 if settings.top_p is None else settings.top_p,
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
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
