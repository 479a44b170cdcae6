"""The tokens that a request may use, and the tokens to hold for it. Pure."""

import msgspec

from tenants.admission.limits.checks import MILLION, Checks, QuotaCheck
from tenants.admission.limits.messages import AdmitRequest, Granted

TYPICAL_COMPLETION_TOKENS = 512
"""Completion tokens that a request without a maximum takes from a token rate, and that are held
first where holds are extended."""


class Demand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The size of a request, as far as it is known before the model runs."""

    prompt_bytes: int
    """Bytes of text, without images, audio and files."""
    max_completion_tokens: int | None = None
    """The client's maximum of tokens for each choice; None without one."""
    choices: int = 1
    """Number of choices; 0 if the model generates none, as for embeddings."""
    context_length: int
    """Maximum tokens of prompt and completion together."""
    streams: bool = False


class DemandUnderChecks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The tokens to hold for a demand under its checks."""

    prompt_tokens: int
    completion_tokens: int
    """Tokens to hold for all choices together."""
    min_completion_tokens: int
    rate_tokens: int
    extends: bool
    """Whether the hold is extended while the response streams."""
    limits_answer: bool
    """Whether the engine gets the held tokens as its maximum."""

    def completion_limit(self, granted: Granted, checks: Checks, *, demand: Demand) -> int | None:
        """Return the engine's maximum tokens for each choice; None keeps the client's value."""
        if not demand.choices or not (self.limits_answer or self.extends):
            return None
        tokens = granted.completion_tokens
        if self.extends and not granted.quotas:
            return None  # Redis is unavailable, so the remaining quota is unknown
        if self.extends:
            # The hold may grow up to the remaining quota. Without this limit the engine could
            # generate more than that before the hold is extended.
            tokens += room_left(granted, checks)
        limit = max(1, tokens // demand.choices)
        return (
            limit
            if demand.max_completion_tokens is None
            else min(limit, demand.max_completion_tokens)
        )


def measure(
    demand: Demand, checks: Checks, *, prompt_tokens: int, default_max_completion_tokens: int
) -> DemandUnderChecks:
    """Compute the tokens to hold: the prompt plus the maximum or a typical completion.

    `default_max_completion_tokens`, of the tenant's plan, applies to requests without a maximum.
    """
    counting = counting_tokens(checks)
    room = max(1, demand.context_length - prompt_tokens)
    # A response that does not stream cannot extend its hold, so its maximum is held.
    extends = bool(counting) and demand.streams and not any(q.full_hold for q in counting)
    if demand.max_completion_tokens is not None:
        maximum = min(demand.max_completion_tokens, room)
    else:
        maximum = min(default_max_completion_tokens, room)
    typical = (
        min(maximum, TYPICAL_COMPLETION_TOKENS) if demand.max_completion_tokens is None else maximum
    )
    held = min(maximum, TYPICAL_COMPLETION_TOKENS) if extends else maximum
    return DemandUnderChecks(
        prompt_tokens=prompt_tokens,
        completion_tokens=held * demand.choices,
        min_completion_tokens=demand.choices,
        rate_tokens=prompt_tokens + typical * demand.choices,
        extends=extends and bool(demand.choices),
        limits_answer=bool(counting) and not extends,
    )


def room_left(granted: Granted, checks: Checks) -> int:
    """Return the completion tokens that every hard quota has left beside the hold."""
    remaining = {(each.counter, each.window): each.remaining for each in granted.quotas}
    return min(
        (
            remaining.get((quota.counter, quota.window), 0) * MILLION // quota.per_completion
            for quota in counting_tokens(checks)
        ),
        default=0,
    )


def counting_tokens(checks: Checks) -> list[QuotaCheck]:
    """Return the hard quotas that depend on completion tokens."""
    return [
        quota
        for check in checks.scopes
        for quota in check.quotas
        if quota.hard and quota.per_completion
    ]


def admit_request(
    measured: DemandUnderChecks, checks: Checks, *, request_id: str, facts: bytes
) -> AdmitRequest:
    """Compose the request to the counters."""
    return AdmitRequest(
        request_id=request_id,
        checks=checks,
        prompt_tokens=measured.prompt_tokens,
        completion_tokens=measured.completion_tokens,
        min_completion_tokens=measured.min_completion_tokens,
        rate_tokens=measured.rate_tokens,
        facts=facts,
    )
