"""One numbered fact about a run, as it is kept and sent."""

from typing import Any

import msgspec

PAUSED = "tenantry:response.requires_approval"
"""It waits for a person. Not an end: more follows when somebody has decided."""
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
        """As a server-sent event, whose name is the type."""
        return b"event: %b\ndata: %b\n\n" % (self.kind, self.data)


def as_event(frame: dict[str, Any]) -> Event:
    """The event of a frame that has its number."""
    return Event(
        frame["sequence_number"], msgspec.json.encode(frame), is_last=frame["type"] in TERMINAL
    )
