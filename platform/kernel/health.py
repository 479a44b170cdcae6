"""How a dependency was found: what `/readyz` tells of each."""

from dataclasses import dataclass

from kernel.errors import PlatformError
from kernel.storage.redis import NotServing


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One dependency. Says nothing that a stranger should not know."""

    status: str
    latency_ms: float | None = None
    detail: str = ""


def failure_name(error: Exception) -> str:
    """The class of what was behind a failure: `ReadOnlyDatabase`, `OutOfMemoryError`."""
    cause = error.__cause__ if isinstance(error, PlatformError | NotServing) else None
    return (cause or error).__class__.__name__
