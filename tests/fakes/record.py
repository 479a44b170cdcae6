"""What the fake model server knows about one request: the other half of every metering test."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    WORKING = "working"
    FINISHED = "finished"
    """Everything that was to be said is written, faults included."""
    CUT = "cut"
    """The server itself broke the answer off, as its behaviour says."""
    ABORTED = "aborted"
    """The client's connection went away first."""


@dataclass(slots=True, kw_only=True)
class Record:
    """One request and exactly what was sent for it. Times are seconds of `time.monotonic`."""

    number: int
    path: str
    headers: dict[str, str]
    body: Any
    arrived_at: float
    prompt_tokens: int = 0
    tokens_produced: int = 0
    """Tokens the model made: what a real engine would have computed."""
    tokens_written: int = 0
    """Tokens handed to the network; those of an aborted answer may not have arrived."""
    usage_written: dict[str, int] | None = None
    """The last usage that was sent."""
    status: int | None = None
    outcome: Outcome = Outcome.WORKING
    ended_at: float | None = None
    client_left_at: float | None = None

    def end(self, outcome: Outcome) -> None:
        """The first end counts: a connection that closes after a cut is not an abort."""
        if self.outcome is not Outcome.WORKING:
            return
        self.outcome = outcome
        self.ended_at = time.monotonic()
        if outcome is Outcome.ABORTED:
            self.client_left_at = self.ended_at

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Records:
    """The last `size` requests, oldest first."""

    size: int = 10_000
    rows: deque[Record] = field(init=False)
    arrived: int = 0

    def __post_init__(self) -> None:
        self.rows = deque(maxlen=self.size)

    def __iter__(self) -> Iterator[Record]:
        return iter(tuple(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def open(self, *, path: str, headers: dict[str, str], body: Any) -> Record:
        record = Record(
            number=self.arrived,
            path=path,
            headers=headers,
            body=body,
            arrived_at=time.monotonic(),
        )
        self.arrived += 1
        self.rows.append(record)
        return record

    @property
    def last(self) -> Record:
        """The newest one. Raises IndexError if there was no request."""
        return self.rows[-1]

    @property
    def working(self) -> list[Record]:
        return [record for record in self if record.outcome is Outcome.WORKING]

    def tokens_written(self) -> int:
        return sum(record.tokens_written for record in self)
