"""One numbered event of a run, as it is stored and sent."""

from typing import Any

import msgspec

PAUSED = "tenantry:response.requires_approval"
"""The run waits for an approval. It is not the end: more events follow the decision."""
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Event(msgspec.Struct, frozen=True, gc=False):
    """A frame of Open Responses as JSON. `type` is its first member."""

    number: int
    data: bytes
    is_last: bool = False

    @property
    def kind(self) -> bytes:
        """The frame's `type`."""
        start = len(b'{"type":"')
        return self.data[start : self.data.index(b'"', start)]

    @property
    def is_pause(self) -> bool:
        return self.kind == PAUSED.encode()

    @property
    def as_sse(self) -> bytes:
        """The event as a server-sent event, whose name is the type."""
        return b"event: %b\ndata: %b\n\n" % (self.kind, self.data)


def as_event(frame: dict[str, Any]) -> Event:
    """Return the event of a numbered frame."""
    return Event(
        frame["sequence_number"], msgspec.json.encode(frame), is_last=frame["type"] in TERMINAL
    )
