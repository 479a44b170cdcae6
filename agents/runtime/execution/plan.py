"""Prepares a run for the loop: its context, its tools and its limits, or those of a checkpoint."""

from collections.abc import Sequence
from functools import partial

import msgspec

from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.context.builder import build_context
from agents.runtime.context.chat_request import chat_of
from agents.runtime.context.input_items import ensure_calls
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.pending_calls import plan_from_items
from agents.runtime.loop.ports import RunPlan, StreamModel
from agents.runtime.tools.tool_choice import offer_tools
from agents.schema.checkpoint import RunCheckpoint
from agents.schema.history import History
from agents.schema.items import Item, Summary
from inference.relay.schema import ChatRequest, ToolDefinition
from tenants.admission.gate import Gate


async def new_plan(
    run: RunContext, *, gate: Gate, model: StreamModel, own_tools: Sequence[ToolDefinition]
) -> RunPlan:
    """Return the plan of a run that starts. `model` writes a summary if the history needs one.

    Raises InvalidParameter, ContextLengthExceeded, NotFound, and what `model` raises.
    """
    request, agent = run.request, run.target.agent
    chat = request.chat
    if chat is None:
        chat = await chat_with_context(run, gate=gate, model=model)
    offer = offer_tools(own_tools, request.tools, request.tool_choice)
    return RunPlan(
        request=msgspec.structs.replace(
            apply_agent(chat, agent),
            tools=list(offer.tools) or None,
            # Engines refuse a choice without tools.
            tool_choice=offer.choice if offer.tools else None,
        ),
        limits=run.limits,
        client_tools=offer.client_tools,
        agents=(agent.slug,) if agent else (),
    )


def resumed_plan(run: RunContext, checkpoint: RunCheckpoint, chat: ChatRequest) -> RunPlan:
    """Return the plan by which a run continues. `chat` is the request of the checkpoint."""
    agent = run.target.agent
    request = msgspec.structs.replace(
        chat,
        messages=list(checkpoint.messages),
        tools=list(checkpoint.tools) or None,
    )
    return plan_from_items(
        checkpoint.items,
        request=request,
        limits=run.limits,
        done=checkpoint.progress,
        started_calls=checkpoint.started_calls,
        client_tools=checkpoint.client_tools,
        agents=(agent.slug,) if agent else (),
    )


async def chat_with_context(run: RunContext, *, gate: Gate, model: StreamModel) -> ChatRequest:
    """History and input as a chat request that fits the context of the route."""
    request = run.request
    history = await load_history(run)
    if history.is_whole and not any(isinstance(item, Summary) for item in history.items):
        ensure_calls(history.items, request.input)
    items: Sequence[Item] = await build_context(
        request,
        history,
        target=run.target,
        estimate=partial(gate.estimate_prompt, run.target.route.name),
        stream_model=model,
        save_summary=partial(run.store.store_summary, run.tenant_id),
    )
    return chat_of(msgspec.structs.replace(request, input=()), tuple(items))


async def load_history(run: RunContext) -> History:
    request = run.request
    if request.before:
        return History(items=request.before)
    if not (request.conversation or request.previous_response):
        return History()
    return await run.store.history(
        run.tenant_id,
        conversation=request.conversation,
        previous_response=request.previous_response,
    )
