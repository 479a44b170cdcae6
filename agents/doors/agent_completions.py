"""`POST /v1/chat/completions` for agents with tools: a run that is not stored, told as one answer.

The agent executes its own tools; only calls that the client must execute are `tool_calls`.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec

from agents.doors.completion_chunks import CompletionChunks, usage_json
from agents.doors.event_sink import Answering, EventSink
from agents.events.event import Event, Json
from agents.runtime.create_run import CreateRun
from agents.runtime.run_port import ActiveRun, Runs
from inference.relay.parameters import ChatRequest
from kernel.asgi import ClientLeft, ClientWatch, Headers, Receive
from kernel.errors import InvalidParameter
from tenants.admission.principal import Principal

Follow = AsyncGenerator[Sequence[Event]]
DONE = b"data: [DONE]\n\n"


class Answered(Answering, Protocol):
    """The call that is answered, as far as it is known here."""

    receive: Receive
    route: str
    limit_headers: Headers
    waited: float

    def elapsed(self) -> float:
        """Seconds since it came in."""

    async def respond_json(self, value: object) -> None:
        """Answer with a body."""


async def complete_by_run(
    call: Answered, principal: Principal, request: ChatRequest, *, runner: Runs, door: str
) -> None:
    """Run the agent, and tell what it says as chunks, or as a whole."""
    ensure_one_answer(request)
    create = CreateRun(
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
    run = await runner.start(principal, create)
    call.route = run.route
    client = ClientWatch(call.receive)
    try:
        async with client:
            started = await asyncio.shield(run.started)
            call.limit_headers = list(started.headers)
            chunks = CompletionChunks(request.model, run_id=started.run_id)
            follow = runner.follow(run.principal.tenant_id, started.run_id)
            if request.stream:
                sink = EventSink(call, client=client)
                await stream_chunks(call, sink, run, follow, chunks, request=request)
            else:
                await send_completion(call, run, follow, chunks)
    except ClientLeft:
        run.leave()
        raise


def ensure_one_answer(request: ChatRequest) -> None:
    """Raises InvalidParameter for what a run with tools cannot give."""
    if (request.n or 1) > 1:
        raise InvalidParameter("An agent with tools gives one answer. Leave `n` out.", param="n")
    for name in ("logprobs", "top_logprobs"):
        if getattr(request, name):
            raise InvalidParameter(
                f"An agent with tools has no log probabilities. Leave `{name}` out.", param=name
            )


async def stream_chunks(
    call: Answered,
    sink: EventSink,
    run: ActiveRun,
    follow: Follow,
    chunks: CompletionChunks,
    *,
    request: ChatRequest,
) -> None:
    """Send chunks as they come, the usage if it was asked for, and `[DONE]`."""
    async with sink:
        async with aclosing(follow):
            async for events in follow:
                block = b"".join(sse(each) for event in events for each in chunks.of(event))
                if block:
                    await sink.send(block)
        call.waited = call.elapsed()
        if run.error is not None:
            raise run.error
        last = [chunks.last(), *([chunks.usage()] if request.wants_usage else [])]
        await sink.end(b"".join(map(sse, last)) + DONE)


async def send_completion(
    call: Answered, run: ActiveRun, follow: Follow, chunks: CompletionChunks
) -> None:
    """Wait for the end, and answer as a whole. A run that failed is answered with its error."""
    async with aclosing(follow):
        async for events in follow:
            for event in events:
                chunks.of(event)
    call.waited = call.elapsed()
    if run.error is not None:
        raise run.error
    await call.respond_json({**chunks.completion(), "usage": usage_json(chunks.used)})


def sse(chunk: Json) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
