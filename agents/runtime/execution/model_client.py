"""The model calls of one run: each admitted, relayed, metered and settled by itself."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.run_context import RunUsage
from agents.runtime.loop.model_delta import ModelDelta
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import start_route
from agents.runtime.model.stream import stream_completion
from agents.runtime.model.subject import subject_of
from agents.runtime.model.token_estimate import chat_demand, with_max_tokens
from inference.fleet.snapshot import Route
from inference.relay.schema import ChatRequest
from kernel.ids import new_request_id
from tenants.admission.gate import Admission, Subject

OnAdmitted = Callable[[Admission], None]
StopReason = Callable[[], BaseException | None]


class ModelClient:
    """Implements the loop's `StreamModel` for one agent or model route of a run."""

    def __init__(
        self,
        dependencies: RunDependencies,
        route: Route,
        subject: Subject,
        *,
        usage: RunUsage,
        on_admitted: OnAdmitted,
        stop_reason: StopReason,
    ) -> None:
        """`on_admitted` gets every admission; `stop_reason` returns why the run was stopped.

        The usage of every call is added to `usage`.
        """
        self._dependencies = dependencies
        self._route = route
        self._subject = subject
        self._usage = usage
        self._on_admitted = on_admitted
        self._stop_reason = stop_reason

    def for_agent(self, target: ResolvedModel) -> "ModelClient":
        """Return a client of another agent's model, for the same principal and the same run.

        The run has started by then, so that admissions of this client need no callback.
        """
        subject = self._subject
        return ModelClient(
            self._dependencies,
            target.route,
            subject_of(
                target,
                principal=subject.principal,
                door=subject.door,
                client_request_id=subject.client_request_id,
            ),
            usage=self._usage,
            on_admitted=ignore_admission,
            stop_reason=self._stop_reason,
        )

    async def __call__(self, request: ChatRequest) -> AsyncGenerator[ModelDelta]:
        """Call the model once.

        Raises the gate's refusals, what the relay raises, and the reason of a stop.
        """
        gate, route = self._dependencies.gate, self._route
        demand = chat_demand(request, route)
        admission = await gate.admit(self._subject, demand, request_id=new_request_id())
        limited = with_max_tokens(request, admission.max_completion_tokens)
        route_trace = start_route(route, admission, request=limited)
        with Meter(gate, admission, route_trace=route_trace) as meter:
            self._on_admitted(admission)
            stopped = False
            try:
                async with aclosing(
                    stream_completion(self._dependencies.relay, route_trace, limited, meter)
                ) as deltas:
                    async for delta in deltas:
                        yield delta
            except GeneratorExit:
                # The caller needs no more of the response; what was streamed is used.
                stopped = True
                return
            except asyncio.CancelledError:
                stopped = True
                reason = self._stop_reason()
                if reason is None:
                    raise
                raise reason from None
            finally:
                self._usage.add(meter.usage(stopped=stopped))


def ignore_admission(_: Admission) -> None:
    """Do nothing: the admissions of hand-offs do not start a run."""
