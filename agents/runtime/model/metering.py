"""What a request used, noted as it runs, and settled once however it ends."""

import time
from types import TracebackType
from typing import Self

from inference.relay.route_trace import RouteTrace
from inference.relay.sse import SseBuffer
from inference.relay.usage import estimate_usage
from kernel import metrics
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError
from tenants.admission.gate import Admission, Gate, Outcome
from tenants.admission.usage.records import Usage

EXTEND_AT = 0.8
"""The part of a hold after which more is asked for (ADMISSION, "Hold size")."""


class RunCancelled(Exception):
    """The run was cancelled on request."""


class Meter:
    """Settles an admitted request when its block ends.

    The engine's own numbers count; only where it gave none, what was seen is estimated.
    """

    def __init__(self, gate: Gate, admission: Admission, *, route_trace: RouteTrace) -> None:
        self._gate = gate
        self._admission = admission
        self._route_trace = route_trace
        self._room = admission.hold.completion * EXTEND_AT
        """Chunks after which the hold must be extended, where it is to grow."""
        self._stream: SseBuffer | None = None
        self._usage: Usage | None = None
        self._tokens = 0
        self._answered = False
        self._ttft: float | None = None

    def streams(self, stream: SseBuffer) -> None:
        """The answer comes as this stream, which also carries its usage."""
        self._stream = stream

    def first_token(self) -> None:
        """A part of the answer has arrived; only the first call counts."""
        if self._ttft is None:
            self._answered = True
            self._ttft = time.monotonic() - self._admission.started

    def answered(self, usage: Usage | None, *, tokens: int = 0) -> None:
        """The whole answer has arrived; it has about so many `tokens`, if its engine tells none."""
        self._answered = True
        self._usage = usage
        self._tokens = tokens

    @property
    def near_hold_limit(self) -> bool:
        """Whether the answer nearly fills its hold, which has to grow first."""
        stream = self._stream
        return self._admission.extends and stream is not None and stream.events >= self._room

    async def extend_hold(self) -> bool:
        """Extend the hold. False if the answer fills it and nothing is left."""
        grown = await self._gate.extend(self._admission)
        completion = self._admission.hold.completion
        self._room = completion * EXTEND_AT if grown else completion
        return self._stream is None or self._stream.events < completion

    def __enter__(self) -> Self:
        # From here on the heartbeat tells what the request has used so far.
        self._admission.hold.seen = self.usage
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, code = ledger_status(error)
        usage = self.usage(stopped=isinstance(error, ClientLeft | RunCancelled))
        self._gate.settle(
            self._admission,
            Outcome(
                usage=usage,
                status=status,
                error_code=code,
                pool=self._route_trace.pool.name,
                endpoint=self._route_trace.endpoint,
                ttft=self._ttft,
                waited=self._route_trace.waited,
                decision=self._route_trace.decision(),
            ),
        )
        if self._route_trace.turn is not None:
            self._route_trace.turn.used(
                prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
            )
        self._measure(usage)

    def usage(self, *, stopped: bool = False) -> Usage:
        """What is to be paid for as things stand."""
        seen = self._stream.usage() if self._stream else self._usage
        if seen is not None:
            return seen
        # An engine that failed before its first token is not paid for; one that was working
        # when its client stopped it is.
        if self._answered or (stopped and self._route_trace.attempts):
            size = self._admission.demand.prompt_bytes
            return estimate_usage(prompt_bytes=size, completion_tokens=self._estimated_tokens())
        return Usage()

    def _estimated_tokens(self) -> int:
        """Of an answer whose engine told none: by what came, or by the time so far."""
        if self._stream is not None:
            return self._stream.events + self._stream.extra_tokens
        if self._answered or self._admission.demand.streams:
            return self._tokens  # of a stream nothing has come yet
        elapsed = time.monotonic() - self._admission.started - self._route_trace.waited
        return self._gate.estimate_answer(self._admission, seconds=elapsed)

    def _measure(self, usage: Usage) -> None:
        route = self._admission.subject.route
        for kind, count in (
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
            ("cached", usage.cached_tokens),
        ):
            if count:
                metrics.series(metrics.tokens, route, kind).inc(count)
        if self._ttft is None:
            return
        metrics.series(metrics.time_to_first_token, route).observe(self._ttft)
        if usage.completion_tokens > 1:
            rest = time.monotonic() - self._admission.started - self._ttft
            per_token = rest / (usage.completion_tokens - 1)
            metrics.series(metrics.time_per_output_token, route).observe(per_token)


def ledger_status(error: BaseException | None) -> tuple[str, str]:
    """The ledger's status and error code for how a request ended."""
    if error is None:
        return "completed", ""
    if isinstance(error, ClientLeft):
        return "client_left", ""
    if isinstance(error, RunCancelled):
        return "cancelled", ""
    if isinstance(error, PlatformError):
        return "failed", error.code
    return "failed", "interrupted"
