"""The events of a run whose log has expired, rebuilt from the table, without calling a model."""

from agents.events.event import Event, as_event
from agents.events.responses import ResponseEvents
from agents.events.stored_response import KIND_OF_END, response_of_record, settings_of
from agents.schema.json_types import Json
from agents.schema.run_records import RunRecord
from agents.schema.stored_items import client_view


def end_frame(run: RunRecord) -> Json:
    """Return the last event of a run that has ended, still without a number."""
    frame: Json = {"type": KIND_OF_END[run.state], "response": response_of_record(run)}
    lane = settings_of(run).stream_id
    return frame if lane is None else {**frame, "stream_id": lane}


def rebuilt_events(run: RunRecord, *, after: int) -> list[Event]:
    """Return all events, with each text in one delta.

    The original numbers are lost: a reader that has received some events gets only the last one,
    which contains the whole response.
    """
    if after >= 0:
        return [numbered_end(run, number=after + 1)]
    events = ResponseEvents(settings_of(run))
    frames = events.created()
    for item in client_view(run.output):
        frames += events.whole(item)
    return [*map(as_event, frames), numbered_end(run, number=len(frames))]


def numbered_end(run: RunRecord, *, number: int) -> Event:
    frame = end_frame(run)
    return as_event({"type": frame["type"], "sequence_number": number, **frame})
