"""The first and looser gate, in the worker itself: it runs always, and alone while Redis is away.

Beside Redis it allows what the whole limit allows and a little more, so it never refuses what Redis
would admit; what it does refuse needs no round trip. Alone it allows this worker's share: the limit
divided by the number of live workers.
"""

from collections import OrderedDict
from dataclasses import dataclass

from tenants.admission.limits.checks import ScopeCheck, most_of
from tenants.admission.limits.gcra import clamped, taken, wait_us
from tenants.admission.limits.messages import AdmitRequest, Reason, Violation

WHOLE = 1.0
"""This worker's share of each limit beside Redis, which knows what the others do."""
LOOSER = 0.1
"""Of a burst, by which this limiter is looser there: Redis' clock and ours tick apart."""
SOON_MS = 1000
MAX_SCOPES = 100_000


@dataclass(slots=True)
class Local:
    """One scope as this worker has used it. Times are in microseconds since 1970."""

    request_tat: int = 0
    token_tat: int = 0
    running: int = 0


class LocalLimiter:
    """Rates and running requests of this worker, by tenant and scope."""

    def __init__(self) -> None:
        self._scopes: OrderedDict[tuple[int, str], Local] = OrderedDict()

    def breach(self, ask: AdmitRequest, *, now_us: int, share: float) -> Violation | None:
        """The limit that `ask` would break in this worker alone, or None.

        `share` is the part of each limit that this worker may use: WHOLE beside Redis.
        """
        for check in ask.checks.scopes:
            local = self._scopes.get((ask.checks.tenant_id, check.scope))
            if local is None or not check.enforced:
                continue
            if is_crowded(check, local, ask.rate_tokens, now_us=now_us, share=share):
                breach = breach_of(check, local, ask, now_us=now_us, share=share)
                if breach is not None:
                    return breach
        return None

    def take(self, ask: AdmitRequest, *, now_us: int, share: float) -> None:
        """Count an admitted request."""
        for check in ask.checks.scopes:
            local = self._of(ask.checks.tenant_id, check.scope)
            local.running += 1
            request = int(check.request_us / share)
            local.request_tat = taken(tat=local.request_tat, now=now_us, cost=request)
            tokens = token_us(check, ask.rate_tokens, share=share)
            local.token_tat = taken(tat=local.token_tat, now=now_us, cost=tokens)

    def release(self, ask: AdmitRequest, *, tokens: int, share: float) -> None:
        """It has ended, and truly used `tokens`; `share` as it was taken."""
        for check in ask.checks.scopes:
            local = self._of(ask.checks.tenant_id, check.scope)
            local.running = max(0, local.running - 1)
            local.token_tat += token_us(check, tokens - ask.rate_tokens, share=share)

    def _of(self, tenant_id: int, scope: str) -> Local:
        name = (tenant_id, scope)
        local = self._scopes.get(name)
        if local is None:
            local = self._scopes[name] = Local()
            self._forget_oldest()
        return local

    def _forget_oldest(self) -> None:
        while len(self._scopes) > MAX_SCOPES:
            self._scopes.popitem(last=False)


def token_us(check: ScopeCheck, tokens: int, *, share: float) -> int:
    """What `tokens` take from the token rate, in microseconds."""
    return round(tokens * check.token_us / share)


def is_crowded(check: ScopeCheck, local: Local, tokens: int, *, now_us: int, share: float) -> bool:
    """Whether a closer look is needed: nearly never, and this is looked at for every request."""
    return (
        (check.concurrency > 0 and local.running >= check.concurrency * share)
        or local.request_tat + check.request_us / share > now_us + check.request_burst_us
        or local.token_tat + tokens * check.token_us / share > now_us + check.token_burst_us
    )


def breach_of(
    check: ScopeCheck, local: Local, ask: AdmitRequest, *, now_us: int, share: float
) -> Violation | None:
    """What of one scope is broken: running requests, then requests, then tokens.

    A share of a rate is a longer interval with a burst of as many fewer requests, so the time that
    a burst is long stays the same.
    """
    if check.concurrency and local.running >= max(1, check.concurrency * share):
        return Violation(
            reason="concurrency",
            scope=check.scope,
            retry_after_ms=SOON_MS,
            most=most_of(check, "concurrency"),
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
            token_us(check, ask.rate_tokens, share=share),
            check.token_burst_us,
        ),
    )
    for reason, tat, cost, burst in rates:
        # Corrections of the token rate may lead to a debt of as much again.
        bounded = clamped(tat=tat, now=now_us, most=2 * burst)
        wait = wait_us(tat=bounded, now=now_us, cost=cost, burst=burst)
        if burst and wait > (burst * LOOSER if share == WHOLE else 0):
            return Violation(
                reason=reason,
                scope=check.scope,
                retry_after_ms=-(-wait // 1000),
                most=most_of(check, reason),
            )
    return None
