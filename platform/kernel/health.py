"""How a dependency was found: what `/readyz` tells of each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One dependency. Says nothing that a stranger should not know."""

    status: str
    latency_ms: float | None = None
    detail: str = ""
