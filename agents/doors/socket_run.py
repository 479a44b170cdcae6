"""One run asked for on a socket: it answers, it can be cancelled, and it is metered once."""

import asyncio
import logging
import time

from agents.doors.gateway import Gateway
from agents.doors.rendering import error_frame
from agents.doors.socket_frames import CreateResponse, as_chat
from agents.doors.target import resolve_for, subject_of
from agents.events.responses import Frame, ResponseEvents, RunSettings
from agents.runtime.demand import demand_of_chat, limited
from agents.runtime.instructions import apply_agent
from agents.runtime.journeys import begin_journey
from agents.runtime.metering import Meter, RunCancelled
from agents.runtime.run import Tell, run_turn
from kernel import logs, metrics
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError
from kernel.ids import new_id, new_request_id
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)

NAME = "responses_socket"
STATUS_OF_CLIENT_LEFT = 499


class SocketRun:
    """A `response.create` on its way to its one terminal event."""

    def __init__(
        self, gateway: Gateway, frame: CreateResponse, principal: Principal, tell: Tell
    ) -> None:
        self.id = new_id("resp")
        self._gateway = gateway
        self._frame = frame
        self._principal = principal
        self._tell = tell
        self._events = ResponseEvents(settings_of(self.id, frame))
        self._task: asyncio.Task[int] | None = None
        self._cancelled = False
        self._route = metrics.OTHER

    def cancel(self) -> None:
        """Stop it now, or before it starts. Harmless when it has ended."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def execute(self) -> None:
        """Run to the end. Cancelling this call means that the client is gone."""
        started = time.monotonic()
        self._task = asyncio.create_task(self._guarded())
        if self._cancelled:
            self._task.cancel()
        metrics.active_runs.inc()
        try:
            status = await asyncio.shield(self._task)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        finally:
            metrics.active_runs.dec()
        metrics.series(metrics.requests, NAME, self._route, str(status)).inc()
        metrics.series(metrics.request_duration, NAME).observe(time.monotonic() - started)

    async def _guarded(self) -> int:
        """The outermost edge of a run. Returns the HTTP status that fits its end."""
        logs.request_id.set(self.id)
        try:
            await self._answer()
        except PlatformError as error:
            await self._tell([self._in_lane(error_frame(error))])
            return error.status
        except (ClientLeft, RunCancelled):
            return STATUS_OF_CLIENT_LEFT
        except Exception:
            # A bug: it must end this run, not the socket and its other runs.
            log.exception("a run failed")
            await self._tell([self._in_lane(error_frame(PlatformError()))])
            return PlatformError.status
        return 200

    async def _answer(self) -> None:
        gateway = self._gateway
        target = await resolve_for(gateway, self._principal, self._frame.model, purpose="chat")
        self._route = target.route.name
        asked = apply_agent(as_chat(self._frame), target.agent)
        subject = subject_of(
            target, principal=self._principal, door=NAME, client_request_id=self.id
        )
        demand = demand_of_chat(asked, target.route)
        admission = await gateway.gate.admit(subject, demand, request_id=new_request_id())
        asked = limited(asked, admission.longest_answer)
        journey = begin_journey(target.route, admission, asked=asked)
        with Meter(gateway.gate, admission, journey=journey) as meter:
            try:
                await run_turn(
                    gateway.relay,
                    journey,
                    asked,
                    meter=meter,
                    events=self._events,
                    tell=self._tell,
                )
            except asyncio.CancelledError:
                await self._tell_cancelled(meter)

    async def _tell_cancelled(self, meter: Meter) -> None:
        """Raises why: RunCancelled, having told so, or ClientLeft."""
        if not self._cancelled:
            raise ClientLeft from None
        now, usage = int(time.time()), meter.usage(stopped=True)
        await self._tell(self._events.incomplete(usage, reason="cancelled", now=now))
        raise RunCancelled from None

    def _in_lane(self, frame: Frame) -> Frame:
        lane = self._frame.stream_id
        return frame if lane is None else {**frame, "stream_id": lane}


def settings_of(response_id: str, frame: CreateResponse) -> RunSettings:
    return RunSettings(
        response_id=response_id,
        item_id=new_id("msg"),
        model=frame.model,
        created_at=int(time.time()),
        instructions=frame.instructions,
        temperature=frame.temperature,
        top_p=frame.top_p,
        max_output_tokens=frame.max_output_tokens,
        metadata=frame.metadata,
        stream_id=frame.stream_id,
    )
