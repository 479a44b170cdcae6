"""The body of a request for a response (Open Responses 2026-04-24), over HTTP and WebSocket."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agents.doors.base.client_tools import (
    echoed_format,
    echoed_tool,
    functions_of,
    read_tool,
)
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_request import BusyPolicy, RunRequest
from inference.relay.requests.normalization import present
from inference.relay.schema import EngineParameters, Tokens, Variables, Word
from kernel.errors import InvalidParameter, UnsupportedParameter

UNSUPPORTED_FIELDS = (
    *("prompt", "context_management", "moderation", "max_tokens", "max_completion_tokens"),
    *("response_format", "prompt_logprobs", "logprob_token_ids", "return_token_ids", "echo"),
    *("return_tokens_as_token_ids", "continue_final_message", "add_generation_prompt"),
)
"""Parameters of OpenAI and of engines that responses do not support."""
RUN_PARAMETERS = frozenset({"temperature", "top_p"})
"""Engine parameters that are fields of a run request."""
INCLUDABLE = frozenset(
    {
        *("reasoning.encrypted_content", "web_search_call.action.sources"),
        *("web_search_call.results", "file_search_call.results", "code_interpreter_call.outputs"),
        *("message.input_image.image_url", "computer_call_output.output.image_url"),
    }
)
"""Values of `include` that are accepted. The response always has this data, if there is any."""
Label = Annotated[str, Meta(min_length=1, max_length=128)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


class ConversationName(msgspec.Struct):
    id: Label


class TextOptions(msgspec.Struct):
    format: dict[str, Any] | None = None
    verbosity: Word | None = None


class ReasoningOptions(msgspec.Struct):
    """Reasoning options. The whole reasoning is returned, regardless of `summary`."""

    effort: Word | None = None
    summary: Word | None = None
    generate_summary: Word | None = None


class ResponseBody(EngineParameters, kw_only=True):
    """The request. Unknown members are dropped and never reach an engine.

    Parameters of OpenAI and of engines are applied, passed on, or refused with their name.
    """

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: Annotated[list[str], Meta(max_length=32)] | None = None
    reasoning: ReasoningOptions | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    previous_response_id: Label | None = None
    conversation: Label | ConversationName | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: Metadata | None = None
    client_id: Label | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    safety_identifier: Annotated[str, Meta(max_length=256)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=256)] | None = None
    variables: Variables | None = None
    prompt: Any = None
    context_management: Any = None
    moderation: Any = None


class RestBody(ResponseBody, kw_only=True):
    """The body of `POST /v1/responses`."""

    stream: bool | None = None


def as_create_run(
    body: ResponseBody,
    *,
    items: tuple[Item, ...],
    door: str,
    busy: BusyPolicy,
    survives_disconnect: bool,
    stream_id: str | None = None,
) -> RunRequest:
    """Convert the body to a run request. Raises InvalidParameter."""
    conversation = body.conversation
    if conversation is not None and body.previous_response_id is not None:
        raise InvalidParameter(
            "Send `conversation` or `previous_response_id`, not both.", param="conversation"
        )
    if body.background and body.store is False:
        raise InvalidParameter("A background response must be stored.", param="store")
    functions = functions_of(body.tools)
    return RunRequest(
        door=door,
        model=body.model,
        input=items,
        instructions=body.instructions,
        temperature=body.temperature,
        top_p=body.top_p,
        max_output_tokens=body.max_output_tokens,
        tools=tuple(read_tool(each, place=place) for place, each in enumerate(functions)),
        tool_choice=body.tool_choice,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=read_format(body.text),
        parameters=parameters_of(body),
        max_tool_calls=body.max_tool_calls,
        echo=echoed_settings(body, functions),
        metadata=dict(body.metadata) if body.metadata else None,
        conversation=conversation.id
        if isinstance(conversation, ConversationName)
        else conversation,
        previous_response=body.previous_response_id,
        client_id=body.client_id or "",
        stream_id=stream_id,
        user=body.user or "",
        truncation=body.truncation,
        variables=body.variables,
        store=body.store is not False,
        background=bool(body.background),
        survives_disconnect=survives_disconnect,
        busy=busy,
    )


def ensure_supported(body: ResponseBody) -> None:
    """Refuse unsupported parameters instead of ignoring them. Raises UnsupportedParameter."""
    for name in UNSUPPORTED_FIELDS:
        if getattr(body, name) is not None:
            raise UnsupportedParameter(f"`{name}` is not supported here. Leave it out.", param=name)
    if body.top_logprobs:
        raise UnsupportedParameter(
            "Responses have no log probabilities here; chat completions do. Leave it out.",
            param="top_logprobs",
        )
    for place, name in enumerate(body.include or ()):
        if name not in INCLUDABLE:
            raise UnsupportedParameter(
                f"`include` does not support {name[:100]!r} here. Leave it out.",
                param=f"include[{place}]",
            )


def parameters_of(body: ResponseBody) -> Json:
    """Return the engine parameters, under their names in chat completions."""
    names = [name for name in EngineParameters.__struct_fields__ if name not in RUN_PARAMETERS]
    given = {name: getattr(body, name) for name in names}
    if body.reasoning and body.reasoning.effort is not None:
        given["reasoning_effort"] = body.reasoning.effort
    if body.text and body.text.verbosity is not None:
        given["verbosity"] = body.text.verbosity
    return {name: value for name, value in given.items() if value is not None}


def echoed_settings(body: ResponseBody, functions: tuple[Json, ...]) -> Json:
    """Return the settings of the request that the response repeats."""
    text = body.text or TextOptions()
    form: Json = {"format": echoed_format(text.format or {"type": "text"})}
    if text.verbosity is not None:
        form["verbosity"] = text.verbosity
    effort = body.reasoning.effort if body.reasoning else None
    echo = {
        "tools": tuple(map(echoed_tool, functions)) or None,
        "tool_choice": body.tool_choice,
        "parallel_tool_calls": body.parallel_tool_calls,
        "text": form if body.text else None,
        "reasoning": {"effort": effort, "summary": None} if body.reasoning else None,
        "presence_penalty": body.presence_penalty,
        "frequency_penalty": body.frequency_penalty,
        "max_tool_calls": body.max_tool_calls,
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
        "user": body.user,
    }
    return {name: value for name, value in echo.items() if value is not None}


def read_format(text: TextOptions | None) -> Json | None:
    """Return the `response_format` of a chat request. Raises InvalidParameter."""
    if text is None or text.format is None:
        return None
    given = present(text.format)
    kind = given.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    if kind == "json_schema":
        schema = {k: v for k, v in given.items() if k != "type"}
        return {"type": kind, "json_schema": schema}
    raise InvalidParameter("The type of `text.format` is unknown.", param="text.format")
