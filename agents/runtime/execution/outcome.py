"""The outcomes of runs, and the causes that stop them. Pure."""

from enum import Enum

import msgspec

from agents.errors import Interrupted, RunNotStored
from agents.runtime.loop.ports import LoopResult
from agents.runtime.model.metering import RunCancelled
from agents.schema.run_records import ROLLBACK, EndState
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError


class StopCause(Enum):
    """The causes that stop a run from outside its loop."""

    CANCELLED = "cancelled"
    ROLLED_BACK = ROLLBACK
    CLIENT_LEFT = "client_left"
    TIME_IS_UP = "max_run_seconds"
    INTERRUPTED = "interrupted"
    """The worker shuts down."""
    NOT_STORED = "not_kept"
    """The run was to be stored, and could not be."""
    LOST = "lost"
    """Another process has taken over the run, because its lease had expired."""
    RELEASED = "released"
    """The worker shuts down, and another one continues the run from its checkpoint."""


class RunLost(Exception):
    """Another process has ended the run."""


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run."""

    state: EndState
    reason: str = ""
    error: PlatformError | None = None


COMPLETED = RunOutcome(state="completed")


def failed(error: PlatformError) -> RunOutcome:
    return RunOutcome(state="failed", error=error)


def outcome_of_ended(ended: LoopResult) -> RunOutcome:
    """Return the outcome of a run whose loop has ended."""
    if ended.state == "completed":
        return COMPLETED
    return RunOutcome(state="incomplete", reason=ended.reason or "")


def stop_named(why: str) -> StopCause:
    """Return the cause of a cancellation, from its reason in the table."""
    return StopCause.ROLLED_BACK if why == ROLLBACK else StopCause.CANCELLED


def outcome_of_stop(why: StopCause) -> RunOutcome:
    """Return the outcome of a stopped run. LOST has none."""
    match why:
        case StopCause.TIME_IS_UP:
            return RunOutcome(state="incomplete", reason=why.value)
        case StopCause.INTERRUPTED | StopCause.RELEASED:
            return failed(Interrupted(retry_after=1))
        case StopCause.NOT_STORED:
            return failed(RunNotStored(retry_after=1))
        case _:
            return RunOutcome(state="cancelled", reason=why.value)


def as_exception(why: StopCause) -> BaseException:
    """Return the exception that a stopped run raises, which the meter receives."""
    match why:
        case StopCause.CLIENT_LEFT:
            return ClientLeft()
        case StopCause.INTERRUPTED:
            return Interrupted(retry_after=1)
        case StopCause.NOT_STORED:
            return RunNotStored(retry_after=1)
        case StopCause.LOST:
            return RunLost()
        case _:
            return RunCancelled()
