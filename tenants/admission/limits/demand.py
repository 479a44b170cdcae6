"""How much a request may use, and with that what is held for it. Pure."""

import msgspec

from tenants.admission.limits.checks import MILLION, Checks, QuotaCheck
from tenants.admission.limits.messages import AdmitRequest, Granted

TYPICAL_ANSWER = 512
"""Tokens that are taken from a token rate, and held first where a quota is extended, for each
answer whose request names no limit."""


class Demand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much a request may use, as far as anybody knows beforehand."""

    prompt_bytes: int
    """Of text; images and the like are not among them."""
    longest_answer: int | None = None
    """Tokens of one answer, as the client limits it; None if it does not."""
    answers: int = 1
    """How many are asked for; 0 where a model gives none, as for embeddings."""
    context_length: int
    """Tokens of prompt and answer together that the model takes."""
    streams: bool = False


class Measure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a demand comes to under the checks that it meets."""

    prompt_tokens: int
    completion_tokens: int
    """To be held, for all answers together."""
    least_completion: int
    rate_tokens: int
    extends: bool
    """Whether the hold grows with the answer."""
    limits_answer: bool
    """Whether the engine must be told to stop where the hold ends."""

    def longest_answer(self, granted: Granted, checks: Checks, *, demand: Demand) -> int | None:
        """Tokens to which the engine must limit each answer; None: as the client says."""
        if not demand.answers or not (self.limits_answer or self.extends):
            return None
        tokens = granted.completion_tokens
        if self.extends and not granted.quotas:
            return None  # Redis is unavailable: what is left is unknown
        if self.extends:
            # It may grow, but not beyond all that is left now: one burst of tokens could be more
            # than a quota, before anybody here has counted it.
            tokens += room_left(granted, checks)
        longest = max(1, tokens // demand.answers)
        return longest if demand.longest_answer is None else min(longest, demand.longest_answer)


def measure(demand: Demand, checks: Checks, *, prompt_tokens: int, longest_answer: int) -> Measure:
    """What is held: the prompt, and the longest or a typical answer. `longest_answer` is what the
    tenant's plan allows to requests that name no limit.
    """
    counting = counting_tokens(checks)
    room = max(1, demand.context_length - prompt_tokens)
    # What cannot be watched while it grows is held whole.
    extends = bool(counting) and demand.streams and not any(q.full_hold for q in counting)
    if demand.longest_answer is not None:
        longest = min(demand.longest_answer, room)
    else:
        longest = min(longest_answer, room)
    typical = min(longest, TYPICAL_ANSWER) if demand.longest_answer is None else longest
    held = min(longest, TYPICAL_ANSWER) if extends else longest
    return Measure(
        prompt_tokens=prompt_tokens,
        completion_tokens=held * demand.answers,
        least_completion=demand.answers,
        rate_tokens=prompt_tokens + typical * demand.answers,
        extends=extends and bool(demand.answers),
        limits_answer=bool(counting) and not extends,
    )


def room_left(granted: Granted, checks: Checks) -> int:
    """Completion tokens that every hard quota has left beside what is held."""
    remaining = {(each.counter, each.window): each.remaining for each in granted.quotas}
    return min(
        (
            remaining.get((quota.counter, quota.window), 0) * MILLION // quota.per_completion
            for quota in counting_tokens(checks)
        ),
        default=0,
    )


def counting_tokens(checks: Checks) -> list[QuotaCheck]:
    """The quotas that refuse, and of which every token of an answer takes something."""
    return [
        quota
        for check in checks.scopes
        for quota in check.quotas
        if quota.hard and quota.per_completion
    ]


def ask_for(measured: Measure, checks: Checks, *, request_id: str, facts: bytes) -> AdmitRequest:
    """What the counters are asked."""
    return AdmitRequest(
        request_id=request_id,
        checks=checks,
        prompt_tokens=measured.prompt_tokens,
        completion_tokens=measured.completion_tokens,
        least_completion=measured.least_completion,
        rate_tokens=measured.rate_tokens,
        facts=facts,
    )
