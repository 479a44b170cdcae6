"""`POST /v1/chat/completions`: OpenAI's chat completions, for agents and model routes."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from agents.doors.base.call import Call
from agents.doors.base.event_sink import STREAM_HEADERS, EventSink, TeeSink
from agents.doors.http.agent_completions import complete_with_run
from agents.doors.http.cached_responses import ResponseRecorder, replay_cached
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import encode_request, start_route
from agents.runtime.model.subject import subject_of
from agents.runtime.model.token_estimate import chat_demand, with_max_tokens
from agents.runtime.response_cache.cache import OFF, cache_key
from agents.runtime.tools.tool_choice import with_allowed_tools
from inference.relay.answers.engine_answers import counts_of, estimated_tokens, with_usage
from inference.relay.encoding import with_client_model_name
from inference.relay.exchange import Exchange
from inference.relay.schema import ChatRequest, ensure_consistent, parse
from inference.relay.sse import END, SseBuffer
from inference.relay.upstream import Path
from inference.relay.usage import read_usage_of_answer
from kernel.asgi import ClientWatch
from tenants.admission.gate import Subject
from tenants.admission.usage.records import Usage

NAME = "chat_completions"
PATH: Path = "/v1/chat/completions"

CHUNK_ID = re.compile(rb'"id":\s?"([A-Za-z0-9_-]{1,100})"')

Connect = Callable[[], Awaitable[Exchange]]


async def chat_completions(call: Call) -> None:
    """Parse and admit the request, relay it, and settle its usage."""
    principal = await call.authenticate("chat")
    request = parse(await call.body(), ChatRequest)
    ensure_consistent(request)
    target = await call.find_target(principal, request.model, purpose="chat", user=request.user)
    subject = subject_of(
        target, principal=principal, door=NAME, client_request_id=call.client_request_id
    )
    if target.agent is not None and target.agent.tools:
        await complete_with_run(call, principal, request, runner=call.gateway.runner, door=NAME)
        return
    engine_request = with_allowed_tools(apply_agent(request, target.agent))
    if target.agent is None or target.agent.response_cache == OFF:
        await relay_answer(call, request, engine_request, target=target, subject=subject)
    else:
        await answer_with_cache(call, request, engine_request, target=target, subject=subject)


async def answer_with_cache(
    call: Call,
    request: ChatRequest,
    engine_request: ChatRequest,
    *,
    target: ResolvedModel,
    subject: Subject,
) -> None:
    """Respond from the response cache, or relay the request and store its response."""
    assert target.agent is not None, "only agents have a response cache"
    tenant_id, route = subject.principal.tenant_id, target.route.name
    key = cache_key(engine_request, tenant_id=tenant_id, agent=target.agent, route=route)
    known = await call.gateway.answers.find(key, route=route) if key else None
    if known is not None:
        await replay_cached(
            call, known, subject=subject, request=request, stream_headers=STREAM_HEADERS
        )
        return
    copy = ResponseRecorder(partial(call.gateway.answers.put, key)) if key else None
    await relay_answer(call, request, engine_request, target=target, subject=subject, copy=copy)


async def relay_answer(
    call: Call,
    request: ChatRequest,
    engine_request: ChatRequest,
    *,
    target: ResolvedModel,
    subject: Subject,
    copy: ResponseRecorder | None = None,
) -> None:
    """Admit the request, relay it, and settle its usage."""
    gate = call.gateway.gate
    demand = chat_demand(engine_request, target.route)
    admission = await gate.admit(subject, demand, request_id=call.request_id)
    call.limit_headers = admission.headers()
    engine_request = with_max_tokens(engine_request, admission.max_completion_tokens)
    route_trace = start_route(target.route, admission, request=engine_request)
    encode = partial(encode_request, route_trace, engine_request)
    connect = partial(call.gateway.relay.open, route_trace, PATH, encode)
    call.upstream_seconds = None
    with Meter(gate, admission, route_trace=route_trace) as meter:
        if copy is not None:
            copy.set_usage_source(meter.usage)
        if request.stream:
            await stream_answer(call, connect, request, meter, copy)
        else:
            await send_answer(call, connect, request, meter, copy)


async def send_answer(
    call: Call,
    connect: Connect,
    request: ChatRequest,
    meter: Meter,
    copy: ResponseRecorder | None = None,
) -> None:
    """Relay a whole response."""
    async with ClientWatch(call.receive):
        async with await connect() as exchange:
            await exchange.ensure_success(content_type="application/json")
            answer = await exchange.answer()
            # Inside the block, because an unreadable response is an error of the engine.
            usage = read_usage_of_answer(answer)
        call.upstream_seconds = exchange.waited
        if usage is None:
            meter.record_usage(None, tokens=estimated_tokens(answer))
            answer = with_usage(answer, meter.usage())
        else:
            meter.record_usage(usage)
        if copy is not None:
            await copy.whole(answer)
        await call.respond(with_client_model_name(answer, exchange.endpoint, request.model))


async def stream_answer(
    call: Call,
    connect: Connect,
    request: ChatRequest,
    meter: Meter,
    copy: ResponseRecorder | None = None,
) -> None:
    """Relay a stream. An error before the first byte still determines the status."""
    client = ClientWatch(call.receive)
    sink = TeeSink(call, client=client, observer=copy) if copy else EventSink(call, client=client)
    async with sink, client, await connect() as exchange:
        # A separate task: each token resumes three frames instead of the whole call stack.
        relaying = relay_events(exchange, request, meter=meter, sink=sink)
        await asyncio.create_task(relaying)
    call.upstream_seconds = exchange.waited


async def relay_events(
    exchange: Exchange, request: ChatRequest, *, meter: Meter, sink: EventSink
) -> None:
    """Relay every event up to the end. Raises UpstreamBroken if the engine's stream is incomplete.

    If the quota is exhausted, leaving the exchange stops the engine.
    """
    stream = SseBuffer(
        keep_usage=request.wants_usage,
        keep_every_usage=request.wants_every_usage,
        answers=request.n or 1,
    )
    meter.attach_stream(stream)
    await exchange.ensure_success(content_type="text/event-stream")
    block, has_events = b"", False
    while True:
        before, block = block, await exchange.read_block(stream)
        # This loop runs for every token, so it avoids needless calls.
        if exchange.endpoint.model != request.model:
            block = with_client_model_name(block, exchange.endpoint, request.model)
        if not has_events and stream.events:
            has_events = True
            meter.first_token()
        if stream.finished:
            if request.wants_usage and stream.usage() is None:
                end = last_chunk(before + block, request, usage=meter.usage())
                block = block.removesuffix(END) + end + END
            await sink.end(block)
            await exchange.finish()
            return
        await sink.send(block)
        if meter.near_hold_limit and not await meter.extend_hold():
            await sink.end(cut_short(block, request, usage=meter.usage()))
            return


def cut_short(block: bytes, request: ChatRequest, *, usage: Usage) -> bytes:
    """Return the end of a stream whose quota is exhausted, in the format of `block`."""
    choice = {"index": 0, "delta": {}, "finish_reason": "length"}
    end = as_chunk(block, request, choices=[choice])
    return end + (last_chunk(block, request, usage=usage) if request.wants_usage else b"") + END


def last_chunk(block: bytes, request: ChatRequest, *, usage: Usage) -> bytes:
    """Return the usage chunk, for an engine that did not send the requested usage."""
    return as_chunk(block, request, choices=[], usage=counts_of(usage))


def as_chunk(block: bytes, request: ChatRequest, **members: object) -> bytes:
    """Return a further chunk of the completion that `block` belongs to."""
    known = CHUNK_ID.search(block)
    chunk = {
        "id": known[1].decode() if known else "",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
        **members,
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
