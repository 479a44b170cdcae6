"""The response object of a run as the table knows it, wherever it ran."""

import msgspec

from agents.events.event import Json
from agents.events.response_object import response_object
from agents.events.run_settings import RunSettings
from agents.runtime.run_rows import KnownRun

STATUS = {"requires_approval": "incomplete"}
"""States that Open Responses has no word for."""
KIND_OF_END = {
    "completed": "response.completed",
    "failed": "response.failed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
}


def settings_of(run: KnownRun) -> RunSettings:
    """What the table keeps of a request."""
    return msgspec.convert(run.request, RunSettings)


def known_response(run: KnownRun) -> Json:
    """The response of a run as the table knows it."""
    reasons = {"cancelled": "cancelled", "requires_approval": "approval_required"}
    reason = reasons.get(run.state, run.reason)
    details = {"reason": reason} if run.state in ("incomplete", *reasons) else None
    return response_object(
        settings_of(run),
        STATUS.get(run.state, run.state),
        output=run.output,
        usage=run.usage if run.is_over else None,
        completed_at=run.ended_at,
        error=run.error,
        incomplete_details=details,
    )
