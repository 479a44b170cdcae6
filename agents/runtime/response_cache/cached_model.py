"""The model call of a run without tools: given again if it was answered before, and kept if not."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.loop.ports import AskModel, ModelDelta
from agents.runtime.model.token_estimate import NO_DEMAND
from agents.runtime.response_cache.cache import (
    OFF,
    CachedResponse,
    CacheKey,
    ResponseCache,
    cache_key,
)
from inference.relay.schema import ChatRequest
from kernel.ids import new_request_id
from tenants.admission.gate import Admission, Gate, Outcome, Subject
from tenants.admission.usage.records import Usage


def may_be_kept(request: ChatRequest, agent: PublishedAgent | None) -> bool:
    """Whether an answer to `request` may be given again: tools must be called each time anew."""
    return agent is not None and agent.response_cache != OFF and not request.tools


class CachedModel:
    """Implements the loop's `AskModel` in front of another one."""

    def __init__(
        self,
        ask: AskModel,
        *,
        gate: Gate,
        answers: ResponseCache,
        subject: Subject,
        agent: PublishedAgent,
        tag: str,
        admitted: Callable[[Admission], None],
    ) -> None:
        """`tag` names with what answers are erased; without one nothing is kept."""
        self._ask = ask
        self._gate = gate
        self._answers = answers
        self._subject = subject
        self._agent = agent
        self._tag = tag
        self._admitted = admitted
        self.is_hit = False

    async def __call__(self, request: ChatRequest) -> AsyncGenerator[ModelDelta]:
        """Raises the gate's refusals, and what the call in its place raises."""
        route = self._subject.route
        tenant_id = self._subject.principal.tenant_id
        key = cache_key(request, tenant_id=tenant_id, agent=self._agent, route=route)
        known = await self._answers.find(key, route=route) if key else None
        said = self._again(key, known) if key and known else self._anew(request, key)
        async with aclosing(said) as pieces:
            async for piece in pieces:
                yield piece

    async def _again(self, key: CacheKey, answer: CachedResponse) -> AsyncGenerator[ModelDelta]:
        """Admitted as a request, and metered with no tokens."""
        subject = msgspec.structs.replace(self._subject, free=True)
        admission = await self._gate.admit(subject, NO_DEMAND, request_id=new_request_id())
        self.is_hit = True
        status = "failed"
        try:
            self._admitted(admission)
            if self._tag:
                # For as long as before; but it is erased with this conversation as well.
                seconds = max(1, int(answer.expires - time.time()))
                same = msgspec.structs.replace(key, seconds=seconds)
                await self._answers.keep(same, answer, tag=self._tag)
            yield ModelDelta(reasoning=answer.reasoning, text=answer.text, finish_reason="stop")
            status = "completed"
            yield ModelDelta(usage=Usage())
        finally:
            saved = answer.prompt_tokens + answer.completion_tokens
            decision = {"cache": "hit", "saved_tokens": saved}
            self._gate.settle(admission, Outcome(usage=Usage(), status=status, decision=decision))

    async def _anew(self, request: ChatRequest, key: CacheKey | None) -> AsyncGenerator[ModelDelta]:
        heard: list[ModelDelta] = []
        async with aclosing(self._ask(request)) as pieces:
            async for piece in pieces:
                heard.append(piece)
                yield piece
        answer = answer_of(heard)
        if key is not None and answer is not None and self._tag:
            await self._answers.keep(key, answer, tag=self._tag)


def answer_of(heard: list[ModelDelta]) -> CachedResponse | None:
    """What may be given again; None if the model was not done, or did not just speak."""
    text = "".join(piece.text for piece in heard)
    is_done = any(piece.finish_reason == "stop" for piece in heard)
    if not text or not is_done or any(piece.calls or piece.refusal for piece in heard):
        return None
    usage = next((piece.usage for piece in reversed(heard) if piece.usage), Usage())
    return CachedResponse(
        text=text,
        reasoning="".join(piece.reasoning for piece in heard),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        created=int(time.time()),
    )
