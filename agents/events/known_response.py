"""The response object of a run as the table knows it, wherever it ran."""

import msgspec

from agents.events.error_codes import known_error
from agents.events.event import Json
from agents.events.response_object import response_object
from agents.events.run_settings import RunSettings
from agents.runtime.run_rows import KnownRun
from agents.runtime.shown_items import shown_items

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
    reasons = {"incomplete": run.reason, "requires_approval": "approval_required"}
    details = {"reason": reasons[run.state]} if run.state in reasons else None
    return response_object(
        settings_of(run),
        STATUS.get(run.state, run.state),
        output=shown_items(run.output),
        usage=run.usage if run.is_over else None,
        completed_at=run.ended_at,
        error=known_error(run.error) if run.error else None,
        incomplete_details=details,
    )
