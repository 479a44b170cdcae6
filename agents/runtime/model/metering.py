"""Meters the usage of a request while it runs, and settles it once, however it ends."""

import time
from types import TracebackType
from typing import Self

from inference.relay.route_trace import RouteTrace
from inference.relay.sse import SseBuffer
from inference.relay.usage import estimate_usage
from kernel import metrics
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError
from tenants.admission.gate import Admission, AdmissionOutcome, Gate
from tenants.admission.usage.records import Usage

EXTEND_AT = 0.8
"""The used share of a hold at which it is extended (admission.md, "How much is held")."""


class RunCancelled(Exception):
    """The run was cancelled on request."""


class Meter:
    """Settles an admitted request when its block ends.

    The usage is that of the engine; only if it reports none, it is estimated from the stream.
    """

    def __init__(self, gate: Gate, admission: Admission, *, route_trace: RouteTrace) -> None:
        self._gate = gate
        self._admission = admission
        self._route_trace = route_trace
        self._room = admission.hold.completion * EXTEND_AT
        """The number of chunks at which the hold must be extended."""
        self._stream: SseBuffer | None = None
        self._usage: Usage | None = None
        self._tokens = 0
        self._answered = False
        self._ttft: float | None = None

    def attach_stream(self, stream: SseBuffer) -> None:
        """Set the stream of the response, which also contains its usage."""
        self._stream = stream

    def first_token(self) -> None:
        """Record the arrival of the first token. Later calls are ignored."""
        if self._ttft is None:
            self._answered = True
            self._ttft = time.monotonic() - self._admission.started

    def record_usage(self, usage: Usage | None, *, tokens: int = 0) -> None:
        """Record a whole response. `tokens` estimates it if the engine reports no usage."""
        self._answered = True
        self._usage = usage
        self._tokens = tokens

    @property
    def near_hold_limit(self) -> bool:
        """Whether the response nearly fills its hold, so that the hold must be extended first."""
        stream = self._stream
        return self._admission.extends and stream is not None and stream.events >= self._room

    async def extend_hold(self) -> bool:
        """Extend the hold. False if the response fills it and nothing is left of the quota."""
        grown = await self._gate.extend(self._admission)
        completion = self._admission.hold.completion
        self._room = completion * EXTEND_AT if grown else completion
        return self._stream is None or self._stream.events < completion

    def __enter__(self) -> Self:
        # From now on the heartbeat of the hold reports what the request has used so far.
        self._admission.hold.read_usage = self.usage
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
            AdmissionOutcome(
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
        if self._route_trace.slot is not None:
            self._route_trace.slot.used(
                prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
            )
        self._measure(usage)

    def usage(self, *, stopped: bool = False) -> Usage:
        """Return the usage to be billed if the request ended now."""
        seen = self._stream.usage() if self._stream else self._usage
        if seen is not None:
            return seen
        # An engine that failed before its first token is not billed; one that was working when the
        # client stopped the request is.
        if self._answered or (stopped and self._route_trace.attempts):
            size = self._admission.demand.prompt_bytes
            return estimate_usage(prompt_bytes=size, completion_tokens=self._estimated_tokens())
        return Usage()

    def _estimated_tokens(self) -> int:
        """Return the completion tokens, estimated from the stream or the elapsed time."""
        if self._stream is not None:
            return self._stream.events + self._stream.extra_tokens
        if self._answered or self._admission.demand.streams:
            return self._tokens  # nothing of a stream has arrived yet
        elapsed = time.monotonic() - self._admission.started - self._route_trace.waited
        return self._gate.estimate_completion(self._admission, seconds=elapsed)

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
    """Return the ledger's status and error code of a request that ended with `error`."""
    if error is None:
        return "completed", ""
    if isinstance(error, ClientLeft):
        return "client_left", ""
    if isinstance(error, RunCancelled):
        return "cancelled", ""
    if isinstance(error, PlatformError):
        return "failed", error.code
    return "failed", "interrupted"
