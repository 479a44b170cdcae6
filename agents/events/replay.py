"""The events of a run whose log is gone, made anew from what the table keeps. Never generated."""

from agents.events.event import Event, as_event
from agents.events.responses import ResponseEvents
from agents.events.stored_response import KIND_OF_END, known_response, settings_of
from agents.schema.json_types import Json
from agents.schema.run_records import RunRecord
from agents.schema.stored_items import shown_items


def end_frame(run: RunRecord) -> Json:
    """The last event of a run that has ended, still without a number."""
    frame: Json = {"type": KIND_OF_END[run.state], "response": known_response(run)}
    lane = settings_of(run).stream_id
    return frame if lane is None else {**frame, "stream_id": lane}


def rebuilt_events(run: RunRecord, *, after: int) -> list[Event]:
    """All events, each text in one piece. The old numbers are not known any more, so that a reader
    who has seen some gets the last event only, which holds the whole response.
    """
    if after >= 0:
        return [numbered_end(run, number=after + 1)]
    events = ResponseEvents(settings_of(run))
    frames = events.created()
    for item in shown_items(run.output):
        frames += events.whole(item)
    return [*map(as_event, frames), numbered_end(run, number=len(frames))]


def numbered_end(run: RunRecord, *, number: int) -> Event:
    frame = end_frame(run)
    return as_event({"type": frame["type"], "sequence_number": number, **frame})
