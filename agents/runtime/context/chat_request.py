"""The request of a run as a chat request, which engines read."""

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.loop.chat_messages import chat_messages
from agents.schema.items import Item
from agents.schema.run_request import RunRequest, Truncation
from inference.relay.schema import ChatMessage, ChatRequest


def truncation_of(request: RunRequest, *, agent: PublishedAgent | None) -> Truncation:
    """Return the client's value, or the default: `auto` for agents, whose settings define the
    method, and `disabled` for model routes, as Open Responses has it.
    """
    return request.truncation or ("auto" if agent else "disabled")


def chat_of(create: RunRequest, history: tuple[Item, ...]) -> ChatRequest:
    """Return the request as a chat request: instructions, history, input."""
    instructions = (
        [ChatMessage(role="system", content=create.instructions)] if create.instructions else []
    )
    chat = ChatRequest(
        model=create.model,
        messages=[*instructions, *chat_messages((*history, *create.input))],
        stream=True,
        temperature=create.temperature,
        top_p=create.top_p,
        max_tokens=create.max_output_tokens,
        tools=list(create.tools) or None,
        tool_choice=create.tool_choice if create.tools else None,  # type: ignore[arg-type]
        parallel_tool_calls=create.parallel_tool_calls if create.tools else None,
        response_format=create.response_format,
        variables=create.variables,
    )
    return msgspec.structs.replace(chat, **create.parameters) if create.parameters else chat
