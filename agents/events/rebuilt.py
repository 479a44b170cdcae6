"""The events of a run whose log is gone, made anew from what the table keeps. Never generated."""

from agents.events.event import Event, Json, as_event
from agents.events.known_response import KIND_OF_END, known_response, settings_of
from agents.events.responses import ResponseEvents
from agents.runtime.run_rows import KnownRun
from agents.runtime.shown_items import shown_items


def end_frame(run: KnownRun) -> Json:
    """The last event of a run that has ended, still without a number."""
    frame: Json = {"type": KIND_OF_END[run.state], "response": known_response(run)}
    lane = settings_of(run).stream_id
    return frame if lane is None else {**frame, "stream_id": lane}


def rebuilt_events(run: KnownRun, *, after: int) -> list[Event]:
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


def numbered_end(run: KnownRun, *, number: int) -> Event:
    frame = end_frame(run)
    return as_event({"type": frame["type"], "sequence_number": number, **frame})
