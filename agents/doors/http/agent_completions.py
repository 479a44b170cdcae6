"""`POST /v1/chat/completions` for agents with tools: a run that is not stored, told as one answer.

The agent executes its own tools; only calls that the client must execute are `tool_calls`.
"""

from contextlib import aclosing
from typing import Protocol

import msgspec

from agents.doors.base.event_sink import EventSink
from agents.doors.base.open_run import OpenRun, RunCall, open_run
from agents.doors.http.completion_chunks import CompletionChunks, usage_json
from agents.runtime.execution.ports import Runs
from agents.schema.json_types import Json
from agents.schema.run_request import RunRequest
from inference.relay.schema import ChatRequest
from kernel.errors import InvalidParameter
from tenants.admission.principal import Principal

DONE = b"data: [DONE]\n\n"
NOT_ANSWERED = (
    *("logprobs", "top_logprobs", "logprob_token_ids"),
    *("return_token_ids", "return_tokens_as_token_ids", "echo"),
)
"""What engines would add to an answer, and the chunks of a run have no place for."""


class Answered(RunCall, Protocol):
    """The call that is answered, as far as it is known here."""

    async def respond_json(self, value: object) -> None:
        """Answer with a body."""


async def complete_by_run(
    call: Answered, principal: Principal, request: ChatRequest, *, runner: Runs, door: str
) -> None:
    """Run the agent, and tell what it says as chunks, or as a whole."""
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
        goes_on=False,
    )
    async with open_run(call, principal, create, runner=runner) as opened:
        chunks = CompletionChunks(request.model, run_id=opened.started.run_id)
        if request.stream:
            sink = EventSink(call, client=opened.client)
            await stream_chunks(sink, opened, chunks, request=request)
        else:
            await send_completion(call, opened, chunks)


def ensure_one_answer(request: ChatRequest) -> None:
    """Raises InvalidParameter for what a run with tools cannot give."""
    if (request.n or 1) > 1:
        raise InvalidParameter("An agent with tools gives one answer. Leave `n` out.", param="n")
    asked = next((name for name in NOT_ANSWERED if getattr(request, name)), None)
    if asked is None and request.prompt_logprobs is not None:
        asked = "prompt_logprobs"  # 0 asks for those of the tokens themselves
    if asked is not None:
        raise InvalidParameter(
            f"An agent with tools cannot answer what `{asked}` asks for. Leave it out.", param=asked
        )


async def stream_chunks(
    sink: EventSink, opened: OpenRun, chunks: CompletionChunks, *, request: ChatRequest
) -> None:
    """Send chunks as they come, the usage if it was asked for, and `[DONE]`."""
    async with sink:
        async with aclosing(opened.events()) as follow:
            async for events in follow:
                block = b"".join(sse(each) for event in events for each in chunks.of(event))
                if block:
                    await sink.send(block)
        opened.ensure_success()
        last = [chunks.last(), *([chunks.usage()] if request.wants_usage else [])]
        await sink.end(b"".join(map(sse, last)) + DONE)


async def send_completion(call: Answered, opened: OpenRun, chunks: CompletionChunks) -> None:
    """Wait for the end, and answer as a whole. A run that failed is answered with its error."""
    async with aclosing(opened.events()) as follow:
        async for events in follow:
            for event in events:
                chunks.of(event)
    opened.ensure_success()
    await call.respond_json({**chunks.completion(), "usage": usage_json(chunks.used)})


def sse(chunk: Json) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
