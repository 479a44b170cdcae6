"""The response object of a run as the table knows it, wherever it ran."""

import msgspec

from agents.events.error_codes import known_error
from agents.events.response_object import response_object
from agents.schema.json_types import Json
from agents.schema.run_records import RunRecord
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import shown_items

STATUS = {"requires_approval": "incomplete"}
"""States that Open Responses has no word for."""
KIND_OF_END = {
    "completed": "response.completed",
    "failed": "response.failed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
}


def settings_of(run: RunRecord) -> RunSettings:
    """What the table keeps of a request."""
    return msgspec.convert(run.request, RunSettings)


def known_response(run: RunRecord) -> Json:
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
