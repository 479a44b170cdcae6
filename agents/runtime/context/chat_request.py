"""The request of a run, as engines understand it."""

import msgspec

from agents.schema.items import Item, chat_messages
from agents.schema.run_request import RunRequest
from inference.relay.schema import ChatMessage, ChatRequest


def chat_of(create: RunRequest, history: tuple[Item, ...]) -> ChatRequest:
    """The request as engines understand it: instructions, what was said before, the input."""
    instructions = (
        [ChatMessage(role="system", content=create.instructions)] if create.instructions else []
    )
    asked = ChatRequest(
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
    return msgspec.structs.replace(asked, **create.parameters) if create.parameters else asked
