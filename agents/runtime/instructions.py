"""A chat request as an agent makes it: its instructions first, its presets where none are given."""

import msgspec

from agents.runtime.catalog import PublishedAgent
from inference.relay.parameters import ChatMessage, ChatRequest, Parameters

PRESETS = Parameters.__struct_fields__


def apply_agent(request: ChatRequest, agent: PublishedAgent | None) -> ChatRequest:
    """What the engine is asked when `agent` is. What the client set itself stays."""
    if agent is None:
        return request
    presets = {
        name: value
        for name, value in agent.parameters.items()
        if name in PRESETS and getattr(request, name) is None
    }
    if "max_completion_tokens" in presets and request.max_tokens is not None:
        del presets["max_completion_tokens"]
    if "max_tokens" in presets and request.max_completion_tokens is not None:
        del presets["max_tokens"]
    messages = request.messages
    if agent.instructions:
        messages = [ChatMessage(role="system", content=agent.instructions), *messages]
    return msgspec.structs.replace(request, messages=messages, **presets)
