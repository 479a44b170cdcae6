"""The result of a health check, which `/readyz` reports for each dependency."""

from dataclasses import dataclass

from kernel.errors import PlatformError
from kernel.storage.redis import NotServing


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one dependency, without confidential details."""

    status: str
    latency_ms: float | None = None
    detail: str = ""


def failure_name(error: Exception) -> str:
    """Return the class of the original cause of a failure: `ReadOnlyDatabase`, for example."""
    cause = error.__cause__ if isinstance(error, PlatformError | NotServing) else None
    return (cause or error).__class__.__name__
