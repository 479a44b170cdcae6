"""Reading what an engine says that it used. Only what is absent may be estimated."""

from typing import Any

import msgspec

from kernel.errors import UpstreamError
from tenants.admission.usage import Usage

MOST_TOKENS = 2**31
BYTES_PER_TOKEN = 3
"""A cautious guess for prompts whose tokens nobody counted (ADMISSION, "Hold size")."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not the JSON we asked for."""


class WithUsage(msgspec.Struct):
    """The parts of an engine's answer that we read."""

    usage: Any = None
    timings: Any = None


def read_usage(answer: bytes) -> Usage | None:
    """The usage in a JSON answer or chunk; None if there is none that can be believed.

    An explicit 0 is 0. Raises one of UNREADABLE if `answer` is not a JSON object.
    """
    told = msgspec.json.decode(answer, type=WithUsage)
    if isinstance(told.usage, dict):
        return usage_of(told.usage)
    if isinstance(told.timings, dict):
        return usage_of_timings(told.timings)
    return None


def usage_of_timings(timings: dict[str, Any]) -> Usage | None:
    """What llama.cpp tells on every chunk: its prompt tokens come in two parts."""
    fresh = token_count(timings.get("prompt_n"))
    cached = token_count(timings.get("cache_n"))
    completion = token_count(timings.get("predicted_n"))
    if fresh is None or cached is None or completion is None:
        return None
    return Usage(prompt_tokens=fresh + cached, completion_tokens=completion, cached_tokens=cached)


def usage_of(usage: dict[str, Any]) -> Usage | None:
    """OpenAI's usage object."""
    prompt = token_count(usage.get("prompt_tokens"))
    completion = token_count(usage.get("completion_tokens", 0))
    if prompt is None or completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = token_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, cached_tokens=min(cached or 0, prompt)
    )


def token_count(value: object) -> int | None:
    """`value` if it is a number of tokens that can be meant."""
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    return None


def estimate_usage(*, prompt_bytes: int, completion_tokens: int) -> Usage:
    """A cautious estimate, marked as one."""
    return Usage(
        prompt_tokens=-(-prompt_bytes // BYTES_PER_TOKEN),
        completion_tokens=completion_tokens,
        estimated=True,
    )


def read_usage_of_answer(answer: bytes) -> Usage | None:
    """The usage in a whole answer. Raises UpstreamError if the answer is not a JSON object."""
    try:
        # What is not read is not decoded either, and would be passed on as it is.
        answer.decode()
        return read_usage(answer)
    except UNREADABLE as error:
        raise UpstreamError from error
