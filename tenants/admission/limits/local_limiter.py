"""Rates and concurrency of one worker, checked before Redis, and instead of it in an outage.

While Redis is available, a worker allows the whole limit plus BURST_TOLERANCE: it refuses nothing
that Redis would admit, and what it refuses needs no round trip. During an outage it allows its
share: the limit divided by the number of live workers.
"""

from collections import OrderedDict
from dataclasses import dataclass

from tenants.admission.limits.checks import ScopeCheck, limit_of
from tenants.admission.limits.gcra import clamped, taken, wait_us
from tenants.admission.limits.messages import AdmitRequest, Reason, Violation

WHOLE = 1.0
"""The share of each limit while Redis, which counts all workers, is available."""
BURST_TOLERANCE = 0.1
"""Share of a burst that is allowed in addition, because the clocks of Redis and worker differ."""
CONCURRENCY_RETRY_MS = 1000
MAX_SCOPES = 100_000


@dataclass(slots=True)
class LocalScope:
    """The usage of one scope by this worker. Times are in microseconds of the monotonic clock."""

    request_tat: int = 0
    token_tat: int = 0
    running: int = 0


class LocalLimiter:
    """Rates and running requests of this worker, by tenant and scope."""

    def __init__(self) -> None:
        self._scopes: OrderedDict[tuple[int, str], LocalScope] = OrderedDict()

    def violation(self, request: AdmitRequest, *, now_us: int, share: float) -> Violation | None:
        """Return a limit that `request` exceeds by the usage of this worker alone, or None.

        `share` is the part of each limit that this worker may use: WHOLE while Redis is available.
        """
        for check in request.checks.scopes:
            local = self._scopes.get((request.checks.tenant_id, check.scope))
            if local is None or not check.enforced:
                continue
            if may_exceed(check, local, request.rate_tokens, now_us=now_us, share=share):
                violation = violation_of(check, local, request, now_us=now_us, share=share)
                if violation is not None:
                    return violation
        return None

    def take(self, request: AdmitRequest, *, now_us: int, share: float) -> None:
        """Count an admitted request."""
        for check in request.checks.scopes:
            local = self._of(request.checks.tenant_id, check.scope)
            local.running += 1
            interval = int(check.request_us / share)
            local.request_tat = taken(tat=local.request_tat, now=now_us, cost=interval)
            tokens = token_us(check, request.rate_tokens, share=share)
            local.token_tat = taken(tat=local.token_tat, now=now_us, cost=tokens)

    def release(self, request: AdmitRequest, *, tokens: int, share: float) -> None:
        """Count the end of a request that used `tokens`; `share` as in `take`."""
        for check in request.checks.scopes:
            local = self._of(request.checks.tenant_id, check.scope)
            local.running = max(0, local.running - 1)
            local.token_tat += token_us(check, tokens - request.rate_tokens, share=share)

    def _of(self, tenant_id: int, scope: str) -> LocalScope:
        name = (tenant_id, scope)
        local = self._scopes.get(name)
        if local is None:
            local = self._scopes[name] = LocalScope()
            self._forget_oldest()
        return local

    def _forget_oldest(self) -> None:
        while len(self._scopes) > MAX_SCOPES:
            self._scopes.popitem(last=False)


def token_us(check: ScopeCheck, tokens: int, *, share: float) -> int:
    """Return the microseconds that `tokens` take from the token rate."""
    return round(tokens * check.token_us / share)


def may_exceed(
    check: ScopeCheck, local: LocalScope, tokens: int, *, now_us: int, share: float
) -> bool:
    """Return False if no limit can be exceeded. Cheap, because it runs for every request."""
    return (
        (check.concurrency > 0 and local.running >= check.concurrency * share)
        or local.request_tat + check.request_us / share > now_us + check.request_burst_us
        or local.token_tat + tokens * check.token_us / share > now_us + check.token_burst_us
    )


def violation_of(
    check: ScopeCheck, local: LocalScope, request: AdmitRequest, *, now_us: int, share: float
) -> Violation | None:
    """Return the exceeded limit of one scope: concurrency, then requests, then tokens.

    A share of a rate has a longer interval but the same burst duration, and so a burst of fewer
    requests.
    """
    if check.concurrency and local.running >= max(1, check.concurrency * share):
        return Violation(
            reason="concurrency",
            scope=check.scope,
            retry_after_ms=CONCURRENCY_RETRY_MS,
            limit=limit_of(check, "concurrency"),
        )
    rates: tuple[tuple[Reason, int, int, int], ...] = (
        (
            "requests_per_minute",
            local.request_tat,
            int(check.request_us / share),
            check.request_burst_us,
        ),
        (
            "tokens_per_minute",
            local.token_tat,
            token_us(check, request.rate_tokens, share=share),
            check.token_burst_us,
        ),
    )
    for reason, tat, cost, burst in rates:
        # Corrections of the token rate may move the TAT ahead by another burst.
        bounded = clamped(tat=tat, now=now_us, max_ahead=2 * burst)
        wait = wait_us(tat=bounded, now=now_us, cost=cost, burst=burst)
        if burst and wait > (burst * BURST_TOLERANCE if share == WHOLE else 0):
            return Violation(
                reason=reason,
                scope=check.scope,
                retry_after_ms=-(-wait // 1000),
                limit=limit_of(check, reason),
            )
    return None
