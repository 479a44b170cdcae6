"""`POST /v1/chat/completions` for agents with tools: a run that is not stored.

The agent executes its own tools. `tool_calls` has only calls that the client must execute.
"""

from contextlib import aclosing
from typing import Protocol

import msgspec

from agents.doors.base.event_sink import EventSink
from agents.doors.base.open_run import OpenRun, RunCall, open_run
from agents.doors.http.completion_chunks import CompletionChunks, usage_json
from agents.runtime.execution.ports import RunService
from agents.schema.json_types import Json
from agents.schema.run_request import RunRequest
from inference.relay.schema import ChatRequest
from kernel.errors import InvalidParameter
from tenants.admission.principal import Principal

DONE = b"data: [DONE]\n\n"
UNSUPPORTED_PARAMETERS = (
    *("logprobs", "top_logprobs", "logprob_token_ids"),
    *("return_token_ids", "return_tokens_as_token_ids", "echo"),
)
"""Parameters whose results a run cannot return."""


class CompletionCall(RunCall, Protocol):
    """The call that a completion answers."""

    async def respond_json(self, value: object) -> None:
        """Respond with a JSON body."""


async def complete_with_run(
    call: CompletionCall,
    principal: Principal,
    request: ChatRequest,
    *,
    runner: RunService,
    door: str,
) -> None:
    """Run the agent, and respond with chunks or with a whole completion."""
    ensure_one_answer(request)
    create = RunRequest(
        door=door,
        model=request.model,
        input=(),
        chat=request,
        tools=tuple(request.tools or ()),
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        user=request.user or "",
        variables=request.variables,
        store=False,
        survives_disconnect=False,
    )
    async with open_run(call, principal, create, runner=runner) as opened:
        chunks = CompletionChunks(request.model, run_id=opened.started.run_id)
        if request.stream:
            sink = EventSink(call, client=opened.client)
            await stream_chunks(sink, opened, chunks, request=request)
        else:
            await send_completion(call, opened, chunks)


def ensure_one_answer(request: ChatRequest) -> None:
    """Raises InvalidParameter for parameters that a run with tools does not support."""
    if (request.n or 1) > 1:
        raise InvalidParameter("An agent with tools gives one answer. Leave `n` out.", param="n")
    unsupported = next((name for name in UNSUPPORTED_PARAMETERS if getattr(request, name)), None)
    if unsupported is None and request.prompt_logprobs is not None:
        unsupported = "prompt_logprobs"  # 0 requests those of the prompt tokens themselves
    if unsupported is not None:
        raise InvalidParameter(
            f"An agent with tools does not support `{unsupported}`. Leave it out.",
            param=unsupported,
        )


async def stream_chunks(
    sink: EventSink, opened: OpenRun, chunks: CompletionChunks, *, request: ChatRequest
) -> None:
    """Send chunks as they arrive, the usage if requested, and `[DONE]`."""
    async with sink:
        async with aclosing(opened.events()) as follow:
            async for events in follow:
                block = b"".join(sse(each) for event in events for each in chunks.of(event))
                if block:
                    await sink.send(block)
        opened.ensure_success()
        last = [chunks.last(), *([chunks.usage()] if request.wants_usage else [])]
        await sink.end(b"".join(map(sse, last)) + DONE)


async def send_completion(call: CompletionCall, opened: OpenRun, chunks: CompletionChunks) -> None:
    """Wait for the end and respond with the completion, or with the error of a failed run."""
    async with aclosing(opened.events()) as follow:
        async for events in follow:
            for event in events:
                chunks.of(event)
    opened.ensure_success()
    await call.respond_json({**chunks.completion(), "usage": usage_json(chunks.used)})


def sse(chunk: Json) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
