"""What one request is checked against: the limits in force for it, ready for the script.

Everything that is the same for all requests of a key to a route through a door is worked out once
and kept, packed, until the first of its windows ends.
"""

from typing import Literal

import msgspec

MILLION = 1_000_000

Unit = Literal["tokens", "requests", "cost"]
"""What a quota counts; cost is in millionths of the currency unit."""


class QuotaCheck(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One quota in one window. A request takes
    ceil((per_request + prompt * per_prompt + completion * per_completion) / 1,000,000).
    """

    field: str
    """`<unit>:<window id>`, as in `redis_keys.window_field`."""
    start: int
    """Seconds since 1970."""
    end: int
    limit: int
    hard: bool
    """Whether it refuses; soft quotas and those in shadow mode only count."""
    per_request: int
    per_prompt: int
    per_completion: int
    unit: Unit
    counter: str
    window: str
    per_cached: int = 0
    """Of prompt tokens that the engine had cached, instead of `per_prompt`."""
    outage_cap: int = 0
    """The most that all workers together may admit while Redis is away; 0: nothing at all."""
    full_hold: bool = True

    def amount(self, *, prompt: int, completion: int, cached: int = 0) -> int:
        """What so many tokens take from this quota, rounded up. Cached ones are in `prompt`."""
        millionths = (
            self.per_request
            + (prompt - cached) * self.per_prompt
            + cached * self.per_cached
            + completion * self.per_completion
        )
        return -(-millionths // MILLION)


class ScopeCheck(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One scope: rates by GCRA, running requests, and quotas. 0 stands for no limit."""

    scope: str
    request_us: int
    """Emission interval: microseconds between two requests at the steady rate."""
    request_burst_us: int
    """How far ahead of time the theoretical arrival may be: interval times burst."""
    token_us: float
    """Microseconds per token; a request takes ceil(tokens * token_us)."""
    token_burst_us: int
    concurrency: int
    enforced: bool
    """Whether the rates and the concurrency refuse; not in shadow mode."""
    quotas: tuple[QuotaCheck, ...] = ()


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """All scopes of a kind of request: key, then member, then tenant, each with its parts."""

    tenant_id: int
    key_id: int
    scopes: tuple[ScopeCheck, ...]
    packed: bytes
    """`scopes` in MessagePack, for the script."""
    valid_until: float
    """Seconds since 1970, by Redis' clock: the end of the first window."""


def most_of(scope: ScopeCheck, reason: str) -> int | None:
    """What the rate, or the concurrency, of this name lets through at once."""
    if reason == "concurrency":
        return scope.concurrency
    requests, tokens = at_once(scope)
    return {"requests_per_minute": requests, "tokens_per_minute": tokens}.get(reason)


def at_once(scope: ScopeCheck) -> tuple[int | None, int | None]:
    """The bursts of a scope's rates, in requests and in tokens."""
    requests = scope.request_burst_us // scope.request_us if scope.request_us else None
    tokens = round(scope.token_burst_us / scope.token_us) if scope.token_us else None
    return requests, tokens
