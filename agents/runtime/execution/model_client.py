"""The model calls of one run: each admitted, relayed, metered and settled on its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agents.runtime.catalog.model_resolution import Target
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.loop.ports import ModelDelta
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import start_route
from agents.runtime.model.stream import stream_completion
from agents.runtime.model.token_estimate import chat_demand, with_max_tokens
from agents.schema.run_records import sum_usage
from inference.relay.schema import ChatRequest
from kernel.ids import new_request_id
from tenants.admission.gate import Admission, Subject
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

WhyStopped = Callable[[], BaseException | None]


class ModelClient:
    """Implements the loop's `AskModel` for one run."""

    def __init__(
        self,
        dependencies: RunDependencies,
        *,
        run_id: str,
        door: str,
        principal: Principal,
        target: Target,
        admitted: Callable[[Admission], None],
        why_stopped: WhyStopped,
    ) -> None:
        """`admitted` gets every admission; `why_stopped` names a cancellation's reason."""
        self._dependencies = dependencies
        self._run_id, self._door = run_id, door
        self._route = target.route
        self.subject = Subject(
            principal=principal,
            door=door,
            route=target.route.name,
            price=target.route.price,
            agent=target.agent.slug if target.agent else "",
            agent_revision=target.agent.revision if target.agent else None,
            client_request_id=run_id,
        )
        self._admitted = admitted
        self._why_stopped = why_stopped
        self.used = Usage()
        """By all calls together, as they were settled; those of hand-offs too."""
        self.count = 0
        self._above: ModelClient | None = None

    def asked_as(self, target: Target) -> "ModelClient":
        """Asks another agent's model for the same caller and within the same run."""
        calls = ModelClient(
            self._dependencies,
            run_id=self._run_id,
            door=self._door,
            principal=self.subject.principal,
            target=target,
            admitted=self._admitted,
            why_stopped=self._why_stopped,
        )
        calls._above = self
        return calls

    def _add(self, usage: Usage) -> None:
        self.used = sum_usage(self.used, usage)
        if self._above is not None:
            self._above._add(usage)  # noqa: SLF001 - one of its own kind

    async def __call__(self, request: ChatRequest) -> AsyncGenerator[ModelDelta]:
        """Ask once. Raises the gate's refusals, what the relay raises, and why it was stopped."""
        gate, route = self._dependencies.gate, self._route
        demand = chat_demand(request, route)
        admission = await gate.admit(self.subject, demand, request_id=new_request_id())
        asked = with_max_tokens(request, admission.longest_answer)
        route_trace = start_route(route, admission, asked=asked)
        with Meter(gate, admission, route_trace=route_trace) as meter:
            self.count += 1
            self._admitted(admission)
            stopped = False
            try:
                async with aclosing(
                    stream_completion(self._dependencies.relay, route_trace, asked, meter)
                ) as turn:
                    async for said in turn:
                        yield said
            except GeneratorExit:
                # Whoever asked has heard enough; what was said until then is used.
                stopped = True
                return
            except asyncio.CancelledError:
                stopped = True
                why = self._why_stopped()
                if why is None:
                    raise
                raise why from None
            finally:
                self._add(meter.usage(stopped=stopped))
