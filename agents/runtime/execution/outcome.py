"""How runs end, and what makes them. Pure."""

from enum import Enum

import msgspec

from agents.errors import Interrupted, RunNotKept
from agents.runtime.loop.ports import LoopResult
from agents.runtime.model.metering import RunCancelled
from agents.schema.run_records import ROLLBACK, EndState
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError


class Stop(Enum):
    """Why a run is stopped from outside."""

    CANCELLED = "cancelled"
    ROLLED_BACK = ROLLBACK
    CLIENT_LEFT = "client_left"
    TIME_IS_UP = "max_run_seconds"
    INTERRUPTED = "interrupted"
    """The worker ends."""
    NOT_KEPT = "not_kept"
    """The table did not take it."""
    LOST = "lost"
    """It was taken from this worker, which was believed dead."""


class RunLost(Exception):
    """The run has been ended by somebody else."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ends."""

    state: EndState
    reason: str = ""
    error: PlatformError | None = None


COMPLETED = Outcome(state="completed")


def failed(error: PlatformError) -> Outcome:
    return Outcome(state="failed", error=error)


def outcome_of_ended(ended: LoopResult) -> Outcome:
    """Of a run that came to its own end."""
    if ended.state == "completed":
        return COMPLETED
    return Outcome(state="incomplete", reason=ended.reason or "")


def stop_named(why: str) -> Stop:
    """What the table calls the reason of a cancellation."""
    return Stop.ROLLED_BACK if why == ROLLBACK else Stop.CANCELLED


def outcome_of_stop(why: Stop) -> Outcome:
    """Of a run that was stopped. LOST has none."""
    match why:
        case Stop.TIME_IS_UP:
            return Outcome(state="incomplete", reason=why.value)
        case Stop.INTERRUPTED:
            return failed(Interrupted(retry_after=1))
        case Stop.NOT_KEPT:
            return failed(RunNotKept(retry_after=1))
        case _:
            return Outcome(state="cancelled", reason=why.value)


def as_exception(why: Stop) -> BaseException:
    """What the meter is told of a stop."""
    match why:
        case Stop.CLIENT_LEFT:
            return ClientLeft()
        case Stop.INTERRUPTED:
            return Interrupted(retry_after=1)
        case Stop.NOT_KEPT:
            return RunNotKept(retry_after=1)
        case Stop.LOST:
            return RunLost()
        case _:
            return RunCancelled()
