"""The checks of a request against its limits, in the format that the script reads.

They are the same for all requests of one kind with one key to one route, so they are computed and
encoded once, and cached until the first of their windows ends.
"""

from typing import Literal

import msgspec

MILLION = 1_000_000

Unit = Literal["tokens", "requests", "cost"]
"""Unit of a quota; cost is in millionths of the currency unit."""


class QuotaCheck(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One quota in one window. A request takes
    ceil((per_request + prompt * per_prompt + completion * per_completion) / 1,000,000).
    """

    field: str
    """`<unit>:<window id>`, see `counter_state.window_field`."""
    start: int
    """Seconds since 1970."""
    end: int
    limit: int
    hard: bool
    """Whether the quota refuses requests; soft quotas and those in shadow mode only count."""
    per_request: int
    per_prompt: int
    per_completion: int
    unit: Unit
    counter: str
    window: str
    per_cached: int = 0
    """Replaces `per_prompt` for prompt tokens from the engine's cache."""
    outage_cap: int = 0
    """Maximum that all workers together admit while Redis is unavailable; 0 for none."""
    full_hold: bool = True

    def amount(self, *, prompt: int, completion: int, cached: int = 0) -> int:
        """Return the amount that a request takes, rounded up. `prompt` includes `cached`."""
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
    """Maximum lead of the theoretical arrival time: interval times burst."""
    token_us: float
    """Microseconds per token; a request takes ceil(tokens * token_us)."""
    token_burst_us: int
    concurrency: int
    enforced: bool
    """Whether rates and concurrency refuse requests; False in shadow mode."""
    quotas: tuple[QuotaCheck, ...] = ()


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """The scopes of key, member and tenant that count one kind of request."""

    tenant_id: int
    key_id: int
    scopes: tuple[ScopeCheck, ...]
    packed: bytes
    """`scopes` as MessagePack, for the script."""
    valid_until: float
    """Seconds since 1970, by Redis' clock: the end of the first window."""


def limit_of(scope: ScopeCheck, reason: str) -> int | None:
    """Return the concurrency, or the burst of the rate, to which `reason` refers."""
    if reason == "concurrency":
        return scope.concurrency
    requests, tokens = at_once(scope)
    return {"requests_per_minute": requests, "tokens_per_minute": tokens}.get(reason)


def at_once(scope: ScopeCheck) -> tuple[int | None, int | None]:
    """Return the bursts of a scope's rates, in requests and in tokens."""
    requests = scope.request_burst_us // scope.request_us if scope.request_us else None
    tokens = round(scope.token_burst_us / scope.token_us) if scope.token_us else None
    return requests, tokens
