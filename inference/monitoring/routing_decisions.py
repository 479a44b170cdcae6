"""Reads the routing decision of a request from its row in the ledger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXCLUSION_TEXTS = {
    "full": "it was at its maximum concurrency",
    "busy": "it had just reported that it was overloaded",
    "ejected": "it was ejected after failures",
    "open": "its breaker was open",
    "breaker_open": "its breaker was open",
    "half_open": "its breaker was half-open, and its trial request was running",
    "forced_open": "an operator had forced its breaker open",
    "forced": "an operator had forced its breaker open",
    "draining": "it was draining",
    "not_ready": "it was not ready",
    "unhealthy": "its probes failed",
    "visited": "the request had been sent to it before",
    "tried": "the request had been sent to it before",
    "slow_start": "it was in its slow start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedEndpoint:
    """A candidate for the request."""

    endpoint: str
    in_flight: int | None = None
    why_not: str = ""
    """Text of the reason for its exclusion; empty for those that could have been chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """An endpoint that failed before its first byte, so that another one was tried."""

    endpoint: str
    error: str = ""
    after_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingDecision:
    """The routing of one request."""

    strategy: str = ""
    candidates: tuple[RankedEndpoint, ...] = ()
    chosen: tuple[str, ...] = ()
    retries: tuple[Retry, ...] = ()
    waited_ms: float | None = None
    hedged: bool = False
    fallback: str = ""
    """Name of the fallback pool that was used."""
    tool: str = ""
    """Name of the tool that was called, without a model."""

    @property
    def is_plain(self) -> bool:
        """Whether the row has no details: the first endpoint answered without a wait."""
        return self == RoutingDecision()


def read_decision(stored: Any) -> RoutingDecision:
    """Return the decision in a row of the ledger. Missing or invalid values are omitted.

    Rows of version 0.1 have `unreachable`, a list of endpoints, instead of `retries`.
    """
    data: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
    old = [{"endpoint": each, "error": "unreachable"} for each in listed(data, "unreachable")]
    return RoutingDecision(
        strategy=text(data.get("strategy")),
        candidates=tuple(as_candidate(each) for each in objects(data, "candidates")),
        chosen=tuple(text(each) for each in listed(data, "chosen")),
        retries=tuple(as_retry(each) for each in (*objects(data, "retries"), *old)),
        waited_ms=number(data.get("waited_ms")),
        hedged=bool(data.get("hedged")),
        fallback=text(data.get("fallback")),
        tool=text(data.get("tool")),
    )


def as_candidate(data: Mapping[str, Any]) -> RankedEndpoint:
    count = number(data.get("in_flight"))
    return RankedEndpoint(
        endpoint=text(data.get("endpoint")),
        in_flight=None if count is None else int(count),
        why_not=exclusion_text(text(data.get("why_not"))),
    )


def exclusion_text(reason: str) -> str:
    """Return the text of a reason; an unknown one is returned with spaces for underscores."""
    return EXCLUSION_TEXTS.get(reason, reason.replace("_", " "))


def as_retry(data: Mapping[str, Any]) -> Retry:
    return Retry(
        endpoint=text(data.get("endpoint")),
        error=text(data.get("error")),
        after_ms=number(data.get("after_ms")),
    )


def endpoints_in(decision: RoutingDecision) -> set[str]:
    """Return the ids of all endpoints in the decision."""
    candidates = [each.endpoint for each in decision.candidates]
    failed = [each.endpoint for each in decision.retries]
    return {each for each in (*candidates, *failed, *decision.chosen) if each}


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
