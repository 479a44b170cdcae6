"""Encoding of requests for an engine: its name of the model, and its names of parameters."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from inference.fleet.snapshot import Endpoint
from inference.relay.requests.normalization import present
from inference.relay.schema import (
    ChatMessage,
    ChatRequest,
    EmbeddingsRequest,
    EngineParameters,
    Parameters,
    StreamOptions,
)
from kernel.errors import UnsupportedParameter

CONTINUOUS_USAGE_ENGINES = frozenset({"vllm"})
"""Engines that can report usage on every chunk, so that aborted streams are billed exactly."""
TIMINGS_ENGINES = frozenset({"llamacpp"})
"""Engines that report it as `timings`."""


EXTRA_PARAMETERS: Final = tuple(
    name for name in EngineParameters.__struct_fields__ if name not in Parameters.__struct_fields__
)
"""Parameters beyond OpenAI's. A server of an unknown kind receives all of them, and rejects those
that it does not support."""
EXTRA_EMBEDDINGS_PARAMETERS: Final = (
    *("messages", "truncate_prompt_tokens", "add_special_tokens", "normalize", "embed_dtype"),
    *("endianness", "input_type"),
)
LLAMACPP_PARAMETERS: Final = frozenset(
    {
        *("chat_template_kwargs", "grammar", "ignore_eos", "min_p", "reasoning_effort"),
        *("repeat_penalty", "repetition_penalty", "top_k", "typical_p", "verbosity"),
    }
)
"""The ones that llama.cpp's server supports; it silently ignores others."""
UNSUPPORTED_IN_CHAT: Final = {
    "vllm": ("grammar", "repeat_penalty", "typical_p"),
    "llamacpp": tuple(name for name in EXTRA_PARAMETERS if name not in LLAMACPP_PARAMETERS),
}
"""Parameters that an engine silently ignores, by kind of engine."""
UNSUPPORTED_IN_EMBEDDINGS: Final = {"llamacpp": EXTRA_EMBEDDINGS_PARAMETERS}
UNSENT_PARAMETERS: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("user", "variables", "metadata", "modalities", "prediction", "prompt_cache_key"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "store"),
    )
)
"""Parameters that are never sent to engines."""


def encode_chat(request: ChatRequest, endpoint: Endpoint, *, engine: str) -> bytes:
    """Return the body of a chat request. Usage is always requested, for billing.

    Raises UnsupportedParameter for parameters that engines of this kind silently ignore.
    """
    ensure_supported(request, UNSUPPORTED_IN_CHAT.get(engine, ()))
    options = None
    if request.stream:
        continuous = engine in CONTINUOUS_USAGE_ENGINES
        options = StreamOptions(
            include_usage=True, continuous_usage_stats=True if continuous else None
        )
    max_tokens_value = request.max_completion_tokens or request.max_tokens
    wants_new_name = endpoint.limit_name == "max_completion_tokens"
    encoded = msgspec.structs.replace(
        without_empty_members(with_engine_names(engine, request)),
        model=endpoint.model,
        messages=readable_by_models(request.messages),
        stream_options=options,
        max_tokens=None if wants_new_name else max_tokens_value,
        max_completion_tokens=max_tokens_value if wants_new_name else None,
        **UNSENT_PARAMETERS,
    )
    body = msgspec.json.encode(encoded)
    if request.stream and engine in TIMINGS_ENGINES:
        # Added after the allow-list: tenants may not send it, so it is no field of the request.
        return body[:-1] + b',"timings_per_token":true}'
    return body


def without_empty_members(request: ChatRequest) -> ChatRequest:
    """Return `request` without an empty list of tools, which OpenAI's engines reject, and its
    `tool_choice` of `auto` or `none`; and without null members of the response format.
    """
    if request.response_format is not None:
        form = present_format(request.response_format)
        request = msgspec.structs.replace(request, response_format=form)
    if request.tools == []:
        choice = None if request.tool_choice in ("auto", "none") else request.tool_choice
        request = msgspec.structs.replace(request, tools=None, tool_choice=choice)
    return request


def present_format(given: dict[str, Any]) -> dict[str, Any]:
    """Return the response format without null members, which count as absent. A null inside the
    schema itself is a value.
    """
    schema = given.get("json_schema")
    if isinstance(schema, dict):
        given = {**given, "json_schema": present(schema)}
    return present(given)


def ensure_supported(request: ChatRequest | EmbeddingsRequest, dropped: Iterable[str]) -> None:
    """Raise UnsupportedParameter if one of the `dropped` parameters is set."""
    for name in dropped:
        if getattr(request, name) is not None:
            raise UnsupportedParameter(
                f"{name}: The engine of this model does not support this parameter. Leave it out.",
                param=name,
            )


def with_engine_names(engine: str, request: ChatRequest) -> ChatRequest:
    """Return `request` with the parameter names of engines of this kind."""
    if engine != "llamacpp" or request.repetition_penalty is None:
        return request
    return msgspec.structs.replace(
        request, repeat_penalty=request.repetition_penalty, repetition_penalty=None
    )


def readable_by_models(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the history without members that no template reads, and without empty lists of
    calls, which some engines send and others reject. A refusal without content becomes content.
    """
    return [
        readable_message(message)
        if message.refusal or message.audio or message.tool_calls == []
        else message
        for message in messages
    ]


def readable_message(message: ChatMessage) -> ChatMessage:
    content, refusal = message.content, message.refusal
    if refusal and not content:
        content, refusal = refusal, None
    calls = message.tool_calls or None
    return msgspec.structs.replace(
        message, content=content, refusal=refusal, audio=None, tool_calls=calls
    )


def encode_embeddings(request: EmbeddingsRequest, endpoint: Endpoint, *, engine: str) -> bytes:
    """Return the body of an embeddings request. Raises UnsupportedParameter as `encode_chat`."""
    ensure_supported(request, UNSUPPORTED_IN_EMBEDDINGS.get(engine, ()))
    return msgspec.json.encode(msgspec.structs.replace(request, model=endpoint.model, user=None))


def with_priority(body: bytes, priority: int) -> bytes:
    """Return `body`, a non-empty object, with vLLM's `priority`; the lowest is served first."""
    return b'%b,"priority":%d}' % (body[:-1], priority)


def with_client_model_name(answer: bytes, endpoint: Endpoint, model: str) -> bytes:
    """Return `answer` with the client's name of the model instead of the engine's."""
    if endpoint.model == model:
        return answer
    for theirs, ours in model_name_replacements(endpoint.model, model):
        answer = answer.replace(theirs, ours)
    return answer


@lru_cache(maxsize=4096)
def model_name_replacements(theirs: str, ours: str) -> list[tuple[bytes, bytes]]:
    """Return pairs of bytes to replace. Cached, as it is called for every token.

    Inside a string the quotes are escaped, so only the member itself matches.
    """
    forms = (b'"model":%b', b'"model": %b')
    names = msgspec.json.encode(theirs), msgspec.json.encode(ours)
    return [(form % names[0], form % names[1]) for form in forms]
