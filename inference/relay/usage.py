"""Usage reported by engines, and estimates for responses without it."""

import re
from typing import Any

import msgspec

from kernel.errors import UpstreamError
from tenants.admission.usage.records import Usage

MAX_TOKENS = 2**31
BYTES_PER_TOKEN = 3
"""Conservative estimate for prompts that no engine counted (admission.md, "How much is held")."""
BYTES_PER_TOKEN_OF_ANSWERS = 4
"""Average of common tokenizers for prose. This estimate is billed, so it must not be too high."""

NESTED_USAGE = re.compile(rb'"usage"\s*:\s*\{')

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding bytes that are not the expected JSON."""


class WithUsage(msgspec.Struct):
    """The members of a response that usually hold usage."""

    usage: Any = None
    timings: Any = None


class WithNestedUsage(msgspec.Struct):
    """Other members that hold usage in the responses of Moonshot and Groq."""

    choices: Any = None
    x_groq: Any = None


def read_usage(answer: bytes) -> Usage | None:
    """Return the usage in a JSON response or chunk; None if there is no valid one.

    An explicit 0 is 0. Raises one of UNREADABLE if `answer` is not a JSON object.
    """
    found = msgspec.json.decode(answer, type=WithUsage)
    if isinstance(found.usage, dict) and (usage := usage_of(found.usage)) is not None:
        return usage
    if isinstance(found.timings, dict):
        return usage_of_timings(found.timings)
    # Searched first, because decoding all members is slower.
    return read_nested_usage(answer) if NESTED_USAGE.search(answer) else None


def read_nested_usage(answer: bytes) -> Usage | None:
    """Return the usage in the choices, or in a member specific to the engine."""
    found = msgspec.json.decode(answer, type=WithNestedUsage)
    choices = found.choices if isinstance(found.choices, list) else []
    for place in (*choices, found.x_groq):
        inner = place.get("usage") if isinstance(place, dict) else None
        if isinstance(inner, dict) and (usage := usage_of(inner)) is not None:
            return usage
    return None


def usage_of_timings(timings: dict[str, Any]) -> Usage | None:
    """Return the usage in llama.cpp's `timings`, which split prompt tokens into two counts."""
    fresh = token_count(timings.get("prompt_n"))
    cached = token_count(timings.get("cache_n"))
    completion = token_count(timings.get("predicted_n"))
    if fresh is None or cached is None or completion is None:
        return None
    return Usage(prompt_tokens=fresh + cached, completion_tokens=completion, cached_tokens=cached)


def usage_of(usage: dict[str, Any]) -> Usage | None:
    """Return the usage in OpenAI's usage object, of chat or of responses; None if invalid."""
    get = usage.get
    prompt = token_count(get("prompt_tokens", get("input_tokens")))
    completion = token_count(get("completion_tokens", get("output_tokens", 0)))
    if completion is None:
        return None
    if prompt is None:
        # Some engines report the total and the completion tokens only.
        total = token_count(usage.get("total_tokens"))
        if total is None or "prompt_tokens" in usage or total < completion:
            return None
        prompt = total - completion
    cached = cached_tokens(usage)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=min(cached, prompt),
        reasoning_tokens=min(reasoning_tokens(usage), completion),
    )


def cached_tokens(usage: dict[str, Any]) -> int:
    """Return the cached prompt tokens, in the formats of OpenAI, Moonshot and DeepSeek."""
    get = usage.get
    details = get("prompt_tokens_details", get("input_tokens_details"))
    if isinstance(details, dict):
        return token_count(details.get("cached_tokens")) or 0
    return token_count(get("cached_tokens", get("prompt_cache_hit_tokens"))) or 0


def reasoning_tokens(usage: dict[str, Any]) -> int:
    """Return the reasoning tokens, from OpenAI's details or the usage object itself."""
    get = usage.get
    details = get("completion_tokens_details", get("output_tokens_details"))
    found = details if isinstance(details, dict) else usage
    return token_count(found.get("reasoning_tokens")) or 0


def token_count(value: object) -> int | None:
    """Return `value` if it is a valid number of tokens; some engines write 11.0."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    return None


def estimate_tokens(text: str) -> int:
    """Return the estimated tokens of a text: a quarter of its bytes, at least one per word."""
    return max(-(-len(text.encode()) // BYTES_PER_TOKEN_OF_ANSWERS), len(text.split()))


def estimate_usage(*, prompt_bytes: int, completion_tokens: int) -> Usage:
    """Return a conservative estimate, marked as estimated."""
    return Usage(
        prompt_tokens=-(-prompt_bytes // BYTES_PER_TOKEN),
        completion_tokens=completion_tokens,
        estimated=True,
    )


def read_usage_of_answer(answer: bytes) -> Usage | None:
    """Return the usage in a complete response. Raises UpstreamError unless it is a JSON object."""
    try:
        # Checks members that msgspec skips and that would be passed on unchecked.
        answer.decode()
        return read_usage(answer)
    except UNREADABLE as error:
        raise UpstreamError from error
