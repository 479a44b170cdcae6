"""The load of a node and the state that follows from it. Pure."""

from dataclasses import dataclass
from typing import Any

MAX_LOOP_LAG_SECONDS = 1.0
"""Delay of the event loop from which a node is degraded: its streams stand still for as long."""
DATABASE_FAILURE_SECONDS = 15.0
"""Time for which a failed call to PostgreSQL degrades a node."""

UP = "up"
DEGRADED = "degraded"
DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """The measurements of a node for one heartbeat."""

    runs: int = 0
    sockets: int = 0
    requests: int = 0
    """Requests at engines."""
    cpu: float = 0.0
    """Share of one core since the last heartbeat."""
    loop_lag_seconds: float = 0.0
    """Maximum delay of the event loop since the last heartbeat."""
    engines_ready: int = 0
    engines: int = 0
    is_redis_reachable: bool = True
    database_failed_seconds: float | None = None
    """Age of the last failed call to PostgreSQL. None if none has failed."""
    is_draining: bool = False
    """Whether the process shuts down."""

    def as_json(self) -> dict[str, Any]:
        """Return the measurements that have no columns of their own."""
        return {
            "requests": self.requests,
            "cpu": round(self.cpu, 3),
            "loop_lag_ms": round(self.loop_lag_seconds * 1000, 1),
        }


def state_of(load: NodeLoad) -> tuple[str, str]:
    """Return the state of a node, with the reason if it is not up."""
    if load.is_draining:
        return DRAINING, "shutting down"
    problems = problems_of(load)
    return (DEGRADED, "; ".join(problems)) if problems else (UP, "")


def problems_of(load: NodeLoad) -> list[str]:
    """Return what prevents a node from working as it should."""
    problems = []
    if not load.is_redis_reachable:
        problems.append("Redis is unavailable")
    failed = load.database_failed_seconds
    if failed is not None and failed < DATABASE_FAILURE_SECONDS:
        problems.append(f"PostgreSQL was unavailable {failed:.0f} s ago")
    if load.loop_lag_seconds >= MAX_LOOP_LAG_SECONDS:
        problems.append(f"event loop delayed by {load.loop_lag_seconds:.1f} s")
    if not load.engines_ready:
        problems.append(f"none of {load.engines} engines is ready" if load.engines else "no engine")
    return problems
