"""Why a request went where it went, read from what the ledger keeps of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WHY_NOT = {
    "full": "it was full",
    "busy": "it had said a moment before that it had too much to do",
    "ejected": "it was left out after failures",
    "open": "its breaker was open",
    "breaker_open": "its breaker was open",
    "half_open": "it was on trial, and its trial request ran already",
    "forced_open": "an operator had left it out",
    "forced": "an operator had left it out",
    "draining": "it was draining",
    "not_ready": "it was not ready",
    "unhealthy": "its probes failed",
    "visited": "it had this request already",
    "tried": "it had this request already",
    "slow_start": "it was new, and given little yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An endpoint that was looked at."""

    endpoint: str
    in_flight: int | None = None
    why_not: str = ""
    """In words; empty for those that could have been chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """An endpoint that failed before its first byte, so that another one was asked."""

    endpoint: str
    error: str = ""
    after_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How one request found its endpoint."""

    strategy: str = ""
    candidates: tuple[Candidate, ...] = ()
    chosen: tuple[str, ...] = ()
    retries: tuple[Retry, ...] = ()
    waited_ms: float | None = None
    hedged: bool = False
    fallback: str = ""
    """The pool that stepped in."""

    @property
    def is_plain(self) -> bool:
        """Nothing was kept: the first endpoint answered, and there was nothing to tell."""
        return self == Decision()


def read_decision(kept: Any) -> Decision:
    """The decision in a row of the ledger. What is missing or strange is left out, never an error.

    Rows of 0.1 kept `unreachable`, a list of endpoints, in place of `retries`.
    """
    data: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
    old = [{"endpoint": each, "error": "unreachable"} for each in listed(data, "unreachable")]
    return Decision(
        strategy=text(data.get("strategy")),
        candidates=tuple(as_candidate(each) for each in objects(data, "candidates")),
        chosen=tuple(text(each) for each in listed(data, "chosen")),
        retries=tuple(as_retry(each) for each in (*objects(data, "retries"), *old)),
        waited_ms=number(data.get("waited_ms")),
        hedged=bool(data.get("hedged")),
        fallback=text(data.get("fallback")),
    )


def as_candidate(data: Mapping[str, Any]) -> Candidate:
    count = number(data.get("in_flight"))
    return Candidate(
        endpoint=text(data.get("endpoint")),
        in_flight=None if count is None else int(count),
        why_not=why_not_words(text(data.get("why_not"))),
    )


def why_not_words(reason: str) -> str:
    """A reason that is not known here is told as it is kept."""
    return WHY_NOT.get(reason, reason.replace("_", " "))


def as_retry(data: Mapping[str, Any]) -> Retry:
    return Retry(
        endpoint=text(data.get("endpoint")),
        error=text(data.get("error")),
        after_ms=number(data.get("after_ms")),
    )


def endpoints_in(decision: Decision) -> set[str]:
    """The ids of all endpoints that it names."""
    looked_at = [each.endpoint for each in decision.candidates]
    failed = [each.endpoint for each in decision.retries]
    return {each for each in (*looked_at, *failed, *decision.chosen) if each}


def listed(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = data.get(name)
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, list | tuple) else ()


def objects(data: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    return [each for each in listed(data, name) if isinstance(each, Mapping)]


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
