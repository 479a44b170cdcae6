"""Which failures of a delivery are tried again, and when. Pure."""

from datetime import timedelta

from agents.errors import AgentPaused
from agents.schema.run_records import WORKER_DIED
from kernel.errors import Overloaded, PlatformError, RateLimited, UpstreamError, every_leaf
from tenants.errors import QuotaExhausted

MAX_ATTEMPTS = 5
FIRST_RETRY_SECONDS = 5
RETRY_FACTOR = 4
MAX_RETRY_SECONDS = 600
TRANSIENT = (RateLimited, Overloaded, UpstreamError, AgentPaused)
"""The errors that may be gone at the next attempt."""
PERMANENT = (QuotaExhausted,)
"""Errors among them that last for hours: the message is replayed once the quota allows it."""


def is_transient(code: str) -> bool:
    """Return whether a failure with the code of an error is tried again."""
    if code == WORKER_DIED["code"]:
        return True
    return any(
        leaf.code == code
        for leaf in every_leaf(PlatformError)
        if issubclass(leaf, TRANSIENT) and not issubclass(leaf, PERMANENT)
    )


def pause_after(attempts: int) -> timedelta | None:
    """Return the pause after a failed attempt; None if it was the last."""
    if attempts >= MAX_ATTEMPTS:
        return None
    seconds = FIRST_RETRY_SECONDS * RETRY_FACTOR ** (attempts - 1)
    return timedelta(seconds=min(seconds, MAX_RETRY_SECONDS))
