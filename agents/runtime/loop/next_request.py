"""The request of the next turn: what was asked, and what the run has made since. Pure."""

from collections.abc import Sequence

import msgspec

from agents.runtime.loop.tool_arguments import WrongArguments, decode
from agents.schema.items import Item, chat_messages
from inference.relay.schema import ChatMessage, ChatRequest, FunctionCall, ToolCall


def next_request(request: ChatRequest, items: Sequence[Item], *, first: bool) -> ChatRequest:
    """`request` with `items` behind its messages.

    A tool that must be called must be called once: after the `first` turn the model is free to
    answer, otherwise it could never end.
    """
    messages = [parseable(message) for message in [*request.messages, *chat_messages(items)]]
    choice = request.tool_choice
    if not first and choice != "none":
        choice = "auto" if choice is not None else None
    return msgspec.structs.replace(request, messages=messages, tool_choice=choice, stream=True)


def parseable(message: ChatMessage) -> ChatMessage:
    """`message` with arguments that engines can parse: their templates fail for others."""
    calls = message.tool_calls
    if not isinstance(calls, list) or all(is_object(call.function.arguments) for call in calls):
        return message
    return msgspec.structs.replace(message, tool_calls=[mended(call) for call in calls])


def mended(call: ToolCall) -> ToolCall:
    if is_object(call.function.arguments):
        return call
    return ToolCall(id=call.id, function=FunctionCall(name=call.function.name, arguments="{}"))


def is_object(arguments: str) -> bool:
    try:
        decode(arguments)
    except WrongArguments:
        return False
    return bool(arguments.strip())
