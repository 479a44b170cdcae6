"""The body that asks for a response (Open Responses 2026-04-24), over REST and on sockets."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agents.events.event import Json
from agents.runtime.create_run import BusyPolicy, CreateRun
from agents.runtime.items import read_input
from inference.relay.parameters import (
    FunctionTool,
    Probability,
    Tokens,
    Tool,
    Variables,
    explain,
)
from kernel.errors import InvalidParameter

Label = Annotated[str, Meta(min_length=1, max_length=128)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


class ConversationName(msgspec.Struct):
    id: Label


class TextOptions(msgspec.Struct):
    format: dict[str, Any] | None = None


class ResponseBody(msgspec.Struct, kw_only=True):
    """What is asked for. Members that are not listed are dropped, and never reach an engine."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    max_output_tokens: Tokens | None = None
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
    variables: Variables | None = None


class RestBody(ResponseBody, kw_only=True):
    """Of `POST /v1/responses`."""

    stream: bool | None = None


def as_create_run(
    body: ResponseBody,
    *,
    door: str,
    busy: BusyPolicy,
    goes_on: bool,
    stream_id: str | None = None,
) -> CreateRun:
    """The run that a body asks for. Raises InvalidParameter."""
    conversation = body.conversation
    if conversation is not None and body.previous_response_id is not None:
        raise InvalidParameter(
            "Send `conversation` or `previous_response_id`, not both.", param="conversation"
        )
    if body.background and body.store is False:
        raise InvalidParameter("A background response must be stored.", param="store")
    return CreateRun(
        door=door,
        model=body.model,
        input=read_input(body.input),
        instructions=body.instructions,
        temperature=body.temperature,
        top_p=body.top_p,
        max_output_tokens=body.max_output_tokens,
        tools=tuple(map(read_tool, body.tools or ())),
        tool_choice=read_tool_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=read_format(body.text),
        echo=echo_of(body),
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
        goes_on=goes_on,
        busy=busy,
    )


def echo_of(body: ResponseBody) -> Json:
    """What the response gives back as it came."""
    echo: Json = {}
    if body.tools:
        echo["tools"] = tuple(body.tools)
    if body.tool_choice is not None:
        echo["tool_choice"] = body.tool_choice
    if body.parallel_tool_calls is not None:
        echo["parallel_tool_calls"] = body.parallel_tool_calls
    if body.text is not None and body.text.format is not None:
        echo["text"] = {"format": body.text.format}
    return echo


def read_tool(tool: Json) -> Tool:
    """A function that the client carries out. Raises InvalidParameter for any other tool."""
    if tool.get("type") != "function":
        raise InvalidParameter(
            "Only tools of the type `function` can be sent; an agent has the others.", param="tools"
        )
    try:
        return Tool(function=msgspec.convert(tool, FunctionTool))
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"tools: {explain(error).message}", param="tools") from error


def read_tool_choice(choice: str | Json | None) -> str | Json | None:
    """As engines write it."""
    if isinstance(choice, dict):
        if choice.get("type") != "function" or not isinstance(choice.get("name"), str):
            raise InvalidParameter("`tool_choice` names no function.", param="tool_choice")
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def read_format(text: TextOptions | None) -> Json | None:
    """The `response_format` of a chat request. Raises InvalidParameter."""
    if text is None or text.format is None:
        return None
    kind = text.format.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    if kind == "json_schema":
        schema = {k: v for k, v in text.format.items() if k != "type"}
        return {"type": kind, "json_schema": schema}
    raise InvalidParameter("`text.format` is of no known type.", param="text.format")
