"""What is sent to an engine: the caller's request under the engine's name of the model."""

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

CONTINUOUS = frozenset({"vllm"})
"""Engines that report usage on every chunk, so that a stream that is cut is billed exactly."""
TIMED = frozenset({"llamacpp"})
"""Engines that do the same under another name."""


EXTRAS: Final = tuple(
    name for name in EngineParameters.__struct_fields__ if name not in Parameters.__struct_fields__
)
"""Parameters of engines. Another OpenAI-compatible server gets all of them, and says itself which
it does not take."""
EXTRA_EMBEDDINGS: Final = (
    *("messages", "truncate_prompt_tokens", "add_special_tokens", "normalize", "embed_dtype"),
    *("endianness", "input_type"),
)
LLAMACPP: Final = frozenset(
    {
        *("chat_template_kwargs", "grammar", "ignore_eos", "min_p", "reasoning_effort"),
        *("repeat_penalty", "repetition_penalty", "top_k", "typical_p", "verbosity"),
    }
)
"""Those of them that llama.cpp's server takes; of an unknown one it says nothing."""
DROPPED_FROM_CHAT: Final = {
    "vllm": ("grammar", "repeat_penalty", "typical_p"),
    "llamacpp": tuple(name for name in EXTRAS if name not in LLAMACPP),
}
"""By kind of engine, what it would drop without a word."""
DROPPED_FROM_EMBEDDINGS: Final = {"llamacpp": EXTRA_EMBEDDINGS}
NOTES: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("user", "variables", "metadata", "modalities", "prediction", "prompt_cache_key"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "store"),
    )
)
"""For us, or for nobody: no engine learns of them."""


def encode_chat(request: ChatRequest, endpoint: Endpoint, *, engine: str) -> bytes:
    """Usage is always asked for, whether or not the client wants to see it.

    Raises UnsupportedParameter for what engines of this kind would drop without a word.
    """
    ensure_taken(request, DROPPED_FROM_CHAT.get(engine, ()))
    options = None
    if request.stream:
        continuous = engine in CONTINUOUS
        options = StreamOptions(
            include_usage=True, continuous_usage_stats=True if continuous else None
        )
    longest = request.max_completion_tokens or request.max_tokens
    wants_new_name = endpoint.limit_name == "max_completion_tokens"
    asked = msgspec.structs.replace(
        without_empty_members(in_words_of(engine, request)),
        model=endpoint.model,
        messages=readable_by_models(request.messages),
        stream_options=options,
        max_tokens=None if wants_new_name else longest,
        max_completion_tokens=longest if wants_new_name else None,
        **NOTES,
    )
    body = msgspec.json.encode(asked)
    if request.stream and engine in TIMED:
        # Added behind the allow-list: what only we may ask of an engine is no field of a request.
        return body[:-1] + b',"timings_per_token":true}'
    return body


def without_empty_members(request: ChatRequest) -> ChatRequest:
    """`request` without a list of tools that has none, which OpenAI's engines refuse, and with it
    without a choice that allows to call nothing; and without null members of the format.
    """
    if request.response_format is not None:
        form = present_format(request.response_format)
        request = msgspec.structs.replace(request, response_format=form)
    if request.tools == []:
        choice = None if request.tool_choice in ("auto", "none") else request.tool_choice
        request = msgspec.structs.replace(request, tools=None, tool_choice=choice)
    return request


def present_format(given: dict[str, Any]) -> dict[str, Any]:
    """The format of an answer without members that are null, which are absent everywhere; a null
    inside the schema itself is a value.
    """
    schema = given.get("json_schema")
    if isinstance(schema, dict):
        given = {**given, "json_schema": present(schema)}
    return present(given)


def ensure_taken(request: ChatRequest | EmbeddingsRequest, dropped: Iterable[str]) -> None:
    """Raises UnsupportedParameter if one of these is in the request."""
    for name in dropped:
        if getattr(request, name) is not None:
            raise UnsupportedParameter(
                f"{name}: The engine of this model does not take this parameter. Leave it out.",
                param=name,
            )


def in_words_of(engine: str, request: ChatRequest) -> ChatRequest:
    """`request` with the names that engines of this kind have for its parameters."""
    if engine != "llamacpp" or request.repetition_penalty is None:
        return request
    return msgspec.structs.replace(
        request, repeat_penalty=request.repetition_penalty, repetition_penalty=None
    )


def readable_by_models(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The history without members that no template knows, and without empty lists of calls, which
    some engines answer and others refuse. A message that only refuses has its words as text.
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
    """Raises UnsupportedParameter as `encode_chat` does."""
    ensure_taken(request, DROPPED_FROM_EMBEDDINGS.get(engine, ()))
    return msgspec.json.encode(msgspec.structs.replace(request, model=endpoint.model, user=None))


def with_priority(body: bytes, priority: int) -> bytes:
    """`body`, an object with members, with vLLM's `priority`: the lowest is served first."""
    return b'%b,"priority":%d}' % (body[:-1], priority)


def renamed(answer: bytes, endpoint: Endpoint, model: str) -> bytes:
    """`answer` with the client's name of the model instead of the engine's own."""
    if endpoint.model == model:
        return answer
    for theirs, ours in renaming(endpoint.model, model):
        answer = answer.replace(theirs, ours)
    return answer


@lru_cache(maxsize=4096)
def renaming(theirs: str, ours: str) -> list[tuple[bytes, bytes]]:
    """The member as engines write it, and as it is to be: asked for with every token.

    Inside a text the quotes would be escaped, so only the member itself is found.
    """
    forms = (b'"model":%b', b'"model": %b')
    names = msgspec.json.encode(theirs), msgspec.json.encode(ours)
    return [(form % names[0], form % names[1]) for form in forms]
