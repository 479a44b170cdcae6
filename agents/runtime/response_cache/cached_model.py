"""The model of a run without tools, with the response cache in front of it."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.loop.model_delta import ModelDelta
from agents.runtime.loop.ports import StreamModel
from agents.runtime.model.token_estimate import NO_DEMAND
from agents.runtime.response_cache.cache import (
    OFF,
    CachedResponse,
    ResponseCache,
    cache_key,
)
from agents.runtime.response_cache.keys import CacheKey
from inference.relay.schema import ChatRequest
from kernel.ids import new_request_id
from tenants.admission.gate import Admission, AdmissionOutcome, Gate, Subject
from tenants.admission.usage.records import Usage


def is_cacheable(request: ChatRequest, agent: PublishedAgent | None) -> bool:
    """Return whether a response to `request` may be cached.

    Requests with tools are not cacheable.
    """
    return agent is not None and agent.response_cache != OFF and not request.tools


class CachedModel:
    """Implements the loop's `StreamModel` in front of another one."""

    def __init__(
        self,
        stream_model: StreamModel,
        *,
        gate: Gate,
        answers: ResponseCache,
        subject: Subject,
        agent: PublishedAgent,
        tag: str,
        on_admitted: Callable[[Admission], None],
    ) -> None:
        """`tag` names the conversation with which responses are erased; without one, none is
        stored.
        """
        self._stream_model = stream_model
        self._gate = gate
        self._answers = answers
        self._subject = subject
        self._agent = agent
        self._tag = tag
        self._on_admitted = on_admitted
        self.is_hit = False

    async def __call__(self, request: ChatRequest) -> AsyncGenerator[ModelDelta]:
        """Call the model, or replay a cached response. Raises what the gate and the model raise."""
        route = self._subject.route
        tenant_id = self._subject.principal.tenant_id
        key = cache_key(request, tenant_id=tenant_id, agent=self._agent, route=route)
        known = await self._answers.find(key, route=route) if key else None
        response = self._replay(key, known) if key and known else self._fetch(request, key)
        async with aclosing(response) as deltas:
            async for delta in deltas:
                yield delta

    async def _replay(self, key: CacheKey, answer: CachedResponse) -> AsyncGenerator[ModelDelta]:
        """Serve a cached response: admitted as a request, and metered with no tokens."""
        subject = msgspec.structs.replace(self._subject, free=True)
        admission = await self._gate.admit(subject, NO_DEMAND, request_id=new_request_id())
        self.is_hit = True
        status = "failed"
        try:
            self._on_admitted(admission)
            if self._tag:
                # It expires as before, but is erased with this conversation as well.
                seconds = max(1, int(answer.expires - time.time()))
                same = msgspec.structs.replace(key, seconds=seconds)
                await self._answers.put(same, answer, tag=self._tag)
            yield ModelDelta(reasoning=answer.reasoning, text=answer.text, finish_reason="stop")
            status = "completed"
            yield ModelDelta(usage=Usage())
        finally:
            saved = answer.prompt_tokens + answer.completion_tokens
            decision = {"cache": "hit", "saved_tokens": saved}
            self._gate.settle(
                admission, AdmissionOutcome(usage=Usage(), status=status, decision=decision)
            )

    async def _fetch(
        self, request: ChatRequest, key: CacheKey | None
    ) -> AsyncGenerator[ModelDelta]:
        deltas: list[ModelDelta] = []
        async with aclosing(self._stream_model(request)) as pieces:
            async for piece in pieces:
                deltas.append(piece)
                yield piece
        answer = answer_of(deltas)
        if key is not None and answer is not None and self._tag:
            await self._answers.put(key, answer, tag=self._tag)


def answer_of(deltas: list[ModelDelta]) -> CachedResponse | None:
    """Return the response to cache; None if it was cut, or is not a single text."""
    text = "".join(piece.text for piece in deltas)
    is_done = any(piece.finish_reason == "stop" for piece in deltas)
    if not text or not is_done or any(piece.calls or piece.refusal for piece in deltas):
        return None
    usage = next((piece.usage for piece in reversed(deltas) if piece.usage), Usage())
    return CachedResponse(
        text=text,
        reasoning="".join(piece.reasoning for piece in deltas),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        created=int(time.time()),
    )
