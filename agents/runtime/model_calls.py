"""The model calls of one run: each admitted, relayed, metered and settled on its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agents.runtime.demand import demand_of_chat, limited
from agents.runtime.journeys import begin_journey
from agents.runtime.machinery import Machinery
from agents.runtime.metering import Meter
from agents.runtime.model_turn import model_turn
from agents.runtime.ports import Said
from agents.runtime.resolution import Target
from agents.runtime.run_rows import added
from inference.relay.parameters import ChatRequest
from kernel.ids import new_request_id
from tenants.admission.gate import Admission, Subject
from tenants.admission.principal import Principal
from tenants.admission.usage import Usage

WhyStopped = Callable[[], BaseException | None]


class ModelCalls:
    """Implements the loop's `AskModel` for one run."""

    def __init__(
        self,
        machinery: Machinery,
        *,
        run_id: str,
        door: str,
        principal: Principal,
        target: Target,
        admitted: Callable[[Admission], None],
        why_stopped: WhyStopped,
    ) -> None:
        """`admitted` hears of every admission; `why_stopped` names a cancellation's reason."""
        self._machinery = machinery
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
        self._above: ModelCalls | None = None

    def asked_as(self, target: Target) -> "ModelCalls":
        """Asks another agent's model for the same caller and within the same run."""
        calls = ModelCalls(
            self._machinery,
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
        self.used = added(self.used, usage)
        if self._above is not None:
            self._above._add(usage)  # noqa: SLF001 - one of its own kind

    async def __call__(self, request: ChatRequest) -> AsyncGenerator[Said]:
        """Ask once. Raises the gate's refusals, what the relay raises, and why it was stopped."""
        gate, route = self._machinery.gate, self._route
        demand = demand_of_chat(request, route)
        admission = await gate.admit(self.subject, demand, request_id=new_request_id())
        asked = limited(request, admission.longest_answer)
        journey = begin_journey(route, admission, asked=asked)
        with Meter(gate, admission, journey=journey) as meter:
            self.count += 1
            self._admitted(admission)
            stopped = False
            try:
                async with aclosing(
                    model_turn(self._machinery.relay, journey, asked, meter)
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
