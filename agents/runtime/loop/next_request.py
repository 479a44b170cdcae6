"""The request of the next model call: the first request, and the items since. Pure."""

from collections.abc import Sequence

import msgspec

from agents.runtime.loop.chat_messages import chat_messages
from agents.runtime.loop.tool_arguments import WrongArguments, decode
from agents.schema.items import Item
from inference.relay.schema import CalledFunction, ChatMessage, ChatRequest, ToolCall


def next_request(request: ChatRequest, items: Sequence[Item], *, first: bool) -> ChatRequest:
    """`request` with `items` after its messages.

    A required tool call is required in the `first` request only: otherwise the model could never
    answer.
    """
    messages = [parseable(message) for message in [*request.messages, *chat_messages(items)]]
    choice = request.tool_choice
    if not first and choice != "none":
        choice = "auto" if choice is not None else None
    return msgspec.structs.replace(request, messages=messages, tool_choice=choice, stream=True)


def parseable(message: ChatMessage) -> ChatMessage:
    """`message` with arguments that are JSON objects: templates of engines fail for others."""
    calls = message.tool_calls
    if not isinstance(calls, list) or all(is_object(call.function.arguments) for call in calls):
        return message
    return msgspec.structs.replace(
        message, tool_calls=[with_parseable_arguments(call) for call in calls]
    )


def with_parseable_arguments(call: ToolCall) -> ToolCall:
    if is_object(call.function.arguments):
        return call
    return ToolCall(id=call.id, function=CalledFunction(name=call.function.name, arguments="{}"))


def is_object(arguments: str) -> bool:
    try:
        decode(arguments)
    except WrongArguments:
        return False
    return bool(arguments.strip())
