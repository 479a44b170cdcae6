"""The events of a run as the updates of a task that A2A streams. Pure."""

import time
from collections.abc import Iterator

import msgspec
from a2a.types import (
    Artifact,
    Part,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

from agents.doors.http.a2a.parts import ARTIFACT_NAME, agent_message
from agents.doors.http.a2a.task_objects import APPROVAL, INCOMPLETE, timestamp
from agents.events.event import Event
from agents.schema.json_types import Json

Update = TaskStatusUpdateEvent | TaskArtifactUpdateEvent
DELTAS = frozenset({b"response.output_text.delta", b"response.refusal.delta"})


class TextPiece(msgspec.Struct):
    """A piece of an output text."""

    item_id: str
    delta: str


class FinishedItem(msgspec.Struct):
    """A complete output item."""

    item: Json


class FinalResponse(msgspec.Struct):
    """The last event of a run."""

    response: Json


class TaskUpdates:
    """Converts the events of one run, in their order."""

    def __init__(self, *, task_id: str, context_id: str) -> None:
        self._ids = {"task_id": task_id, "context_id": context_id}
        self._started: set[str] = set()
        """The ids of the output messages of which a part was sent."""

    def of(self, event: Event) -> Iterator[Update]:
        """Yield the updates of an event; none for events that A2A does not show."""
        kind = event.kind
        if kind in DELTAS:
            delta = msgspec.json.decode(event.data, type=TextPiece)
            yield self._text(delta.item_id, delta.delta)
        elif kind == b"response.output_item.done":
            yield from self._done(msgspec.json.decode(event.data, type=FinishedItem).item)
        elif kind == b"response.in_progress":
            yield self._status(TaskState.TASK_STATE_WORKING)
        elif event.is_pause:
            yield self._status(TaskState.TASK_STATE_INPUT_REQUIRED, APPROVAL.format(name="a tool"))
        elif event.is_last:
            yield self._end(msgspec.json.decode(event.data, type=FinalResponse).response)

    def _text(self, item_id: str, text: str, *, last: bool = False) -> TaskArtifactUpdateEvent:
        is_started = item_id in self._started
        self._started.add(item_id)
        artifact = Artifact(artifact_id=item_id, name=ARTIFACT_NAME, parts=[Part(text=text)])
        return TaskArtifactUpdateEvent(
            **self._ids, artifact=artifact, append=is_started, last_chunk=last
        )

    def _done(self, item: Json) -> Iterator[Update]:
        """Yield the last chunk of a message: empty, unless nothing of it was sent before."""
        if item.get("type") != "message":
            return
        if item["id"] in self._started:
            yield self._text(item["id"], "", last=True)
        elif text := text_of(item):
            yield self._text(item["id"], text, last=True)

    def _end(self, response: Json) -> TaskStatusUpdateEvent:
        match response["status"]:
            case "completed":
                return self._status(TaskState.TASK_STATE_COMPLETED)
            case "cancelled":
                return self._status(TaskState.TASK_STATE_CANCELED)
            case "incomplete":
                reason = (response["incomplete_details"] or {}).get("reason", "")
                return self._status(TaskState.TASK_STATE_FAILED, INCOMPLETE.format(reason=reason))
            case _:
                error = response["error"] or {}
                return self._status(TaskState.TASK_STATE_FAILED, error.get("message", ""))

    def _status(self, state: TaskState, text: str = "") -> TaskStatusUpdateEvent:
        status = TaskStatus(state=state, timestamp=timestamp(time.time()))
        if text:
            message_id = f"{self._ids['task_id']}-status"
            status.message.CopyFrom(agent_message(text, message_id=message_id, **self._ids))
        return TaskStatusUpdateEvent(**self._ids, status=status)


def text_of(item: Json) -> str:
    """Return the texts of a message, as clients of the Responses API see it."""
    return "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
