"""Applies an agent to a chat request: its instructions, and its presets for absent parameters."""

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.catalog.variables import ensure_known, fill_in
from inference.relay.schema import ChatMessage, ChatRequest, Parameters

PRESETS = Parameters.__struct_fields__


def apply_agent(request: ChatRequest, agent: PublishedAgent | None) -> ChatRequest:
    """Return the request to the engine. Parameters of the client win over the agent's presets.

    Raises InvalidParameter for variables that the agent, or a plain route, does not have.
    """
    if agent is None:
        if request.variables:
            ensure_known(request.variables, known=())
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
    text = instructions_of(agent, request)
    if text:
        messages = [ChatMessage(role="system", content=text), *messages]
    return msgspec.structs.replace(request, messages=messages, variables=None, **presets)


def instructions_of(agent: PublishedAgent, request: ChatRequest) -> str:
    """Return the instructions with the values of their variables."""
    return fill_in(agent.instructions, defaults=agent.variables, given=request.variables)
