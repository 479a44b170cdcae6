"""The response object of a run, built from its row."""

import msgspec

from agents.events.error_codes import error_of_record
from agents.events.response_object import response_object
from agents.schema.json_types import Json
from agents.schema.run_records import RunRecord
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import client_view

STATUS = {"requires_approval": "incomplete"}
"""The status of states that Open Responses does not have."""
KIND_OF_END = {
    "completed": "response.completed",
    "failed": "response.failed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
}


def settings_of(run: RunRecord) -> RunSettings:
    """Return the settings of the run, which the table stores as its request."""
    return msgspec.convert(run.request, RunSettings)


def response_of_record(run: RunRecord) -> Json:
    """Return the response object of a row."""
    reasons = {"incomplete": run.reason, "requires_approval": "approval_required"}
    details = {"reason": reasons[run.state]} if run.state in reasons else None
    return response_object(
        settings_of(run),
        STATUS.get(run.state, run.state),
        output=client_view(run.output),
        usage=run.usage if run.is_over else None,
        completed_at=run.ended_at,
        error=error_of_record(run.error) if run.error else None,
        incomplete_details=details,
    )
