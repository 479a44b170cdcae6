"""Reading what an engine says that it used. Only what is absent may be estimated."""

import re
from typing import Any

import msgspec

from kernel.errors import UpstreamError
from tenants.admission.usage.records import Usage

MAX_TOKENS = 2**31
BYTES_PER_TOKEN = 3
"""A cautious guess for prompts whose tokens nobody counted (ADMISSION, "Hold size")."""
BYTES_PER_TOKEN_OF_ANSWERS = 4
"""As usual tokenizers make of prose: here the guess is billed, so it shall not be above."""

HIDDEN = re.compile(rb'"usage"\s*:\s*\{')

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not the JSON we asked for."""


class WithUsage(msgspec.Struct):
    """The places of an engine's answer in which usage stands nearly always."""

    usage: Any = None
    timings: Any = None


class WithHiddenUsage(msgspec.Struct):
    """The places in which some engines put it instead: Moonshot's and Groq's."""

    choices: Any = None
    x_groq: Any = None


def read_usage(answer: bytes) -> Usage | None:
    """The usage in a JSON answer or chunk; None if there is none that can be believed.

    An explicit 0 is 0. Raises one of UNREADABLE if `answer` is not a JSON object.
    """
    found = msgspec.json.decode(answer, type=WithUsage)
    if isinstance(found.usage, dict) and (usage := usage_of(found.usage)) is not None:
        return usage
    if isinstance(found.timings, dict):
        return usage_of_timings(found.timings)
    # A usage in another place has the same name, which is looked for before all is decoded.
    return read_hidden_usage(answer) if HIDDEN.search(answer) else None


def read_hidden_usage(answer: bytes) -> Usage | None:
    """The usage in the choices, or in a member of the engine's own."""
    found = msgspec.json.decode(answer, type=WithHiddenUsage)
    choices = found.choices if isinstance(found.choices, list) else []
    for place in (*choices, found.x_groq):
        inner = place.get("usage") if isinstance(place, dict) else None
        if isinstance(inner, dict) and (usage := usage_of(inner)) is not None:
            return usage
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
    """OpenAI's usage object, of chat or of responses; None if its numbers cannot be meant."""
    get = usage.get
    prompt = token_count(get("prompt_tokens", get("input_tokens")))
    completion = token_count(get("completion_tokens", get("output_tokens", 0)))
    if completion is None:
        return None
    if prompt is None:
        # Some engines give the sum and one part of it.
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
    """Prompt tokens that the engine still had: OpenAI's details, Moonshot's, DeepSeek's."""
    get = usage.get
    details = get("prompt_tokens_details", get("input_tokens_details"))
    if isinstance(details, dict):
        return token_count(details.get("cached_tokens")) or 0
    return token_count(get("cached_tokens", get("prompt_cache_hit_tokens"))) or 0


def reasoning_tokens(usage: dict[str, Any]) -> int:
    """Completion tokens that the model thought with: OpenAI's details, or beside the others."""
    get = usage.get
    details = get("completion_tokens_details", get("output_tokens_details"))
    found = details if isinstance(details, dict) else usage
    return token_count(found.get("reasoning_tokens")) or 0


def token_count(value: object) -> int | None:
    """`value` if it is a number of tokens that can be meant; some engines write 11.0."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    return None


def estimate_tokens(text: str) -> int:
    """Tokens of a text that nobody counted: a quarter of its bytes, and each word at least one."""
    return max(-(-len(text.encode()) // BYTES_PER_TOKEN_OF_ANSWERS), len(text.split()))


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
