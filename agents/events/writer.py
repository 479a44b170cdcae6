"""Writes the logs of all runs of a worker: waiting events go to Redis in one round trip."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import redis
from redis.asyncio import Redis

from agents.events.buffer import EventBuffer
from agents.events.event import Event
from agents.events.stream import commands_of, key_of, place_of
from kernel.storage.cooldown import Cooldown

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Time after a failed write in which nothing is sent to Redis."""
LAST_EVENT_SECONDS = 5.0
"""Timeout of `flushed`: longer than that of Redis' client."""
OUT_OF_ORDER = "equal or smaller than the target stream top item"
UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError, OSError)


class RunLog:
    """The writing end of one run's log.

    Readers see an event after Redis has stored it, and the end after the table has stored it:
    a reader in another process that finds a log without an end also reads the table.
    """

    def __init__(self, run_id: str, writer: "LogWriter", *, attempt: int, ttl: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.buffer = EventBuffer()
        self.ttl = ttl
        self.is_durable = True
        """False after a failed write: then only readers in this process see the run."""
        self.on_taken_over: Callable[[], None] = lambda: None
        """Called when another process has ended the log."""
        self._writer = writer
        self._pending: list[Event] = []
        """Events that Redis has not stored yet; the first `_in_flight` of them are being sent."""
        self._in_flight = 0
        self._is_held = True
        self._is_end_stored = False
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    def append(self, events: Sequence[Event]) -> None:
        """Append events in order. Not a coroutine: a run never waits for its log."""
        self._pending += events
        self._all_answered.clear()
        if not self._is_held:
            self._writer.wake(self)

    def start_writing(self) -> None:
        """Start writing: the run is stored, so that no event precedes its row."""
        self._is_held = False
        if self._pending:
            self._writer.wake(self)

    def end(self, events: Sequence[Event]) -> None:
        """Append the last events of a run whose end the table has stored. Readers in this process
        get them at once, without waiting for Redis.

        The exception is a log of which Redis has no event yet: a deletion could come before its
        first write, which would create it again.
        """
        if self.buffer.events:
            self._is_end_stored = True
            self.buffer.add((*self._pending, *events))
        self._is_held = False
        self.append(events)

    async def flushed(self) -> None:
        """Return when Redis has answered for every appended event, or after 5 seconds."""
        try:
            async with asyncio.timeout(LAST_EVENT_SECONDS):
                await self._all_answered.wait()
        except TimeoutError:
            log.warning("event log: events not written at the end of a run")

    def take_batch(self) -> list[Event]:
        events = self._pending[self._in_flight :]
        self._in_flight = len(self._pending)
        return events

    def written(self, events: Sequence[Event], *, is_durable: bool) -> None:
        """Pass events on to readers, stored or not."""
        if self.is_durable and not is_durable:
            log.warning("event log: write failed, its run cannot be resumed by other workers")
        self.is_durable = self.is_durable and is_durable
        self._forget(events)
        self.buffer.add(events)
        if events:
            self.buffer.position = place_of(events[-1].number, attempt=self.attempt)

    def on_conflict(self, events: Sequence[Event]) -> None:
        """Handle an id that Redis refused because it does not rise: another process has ended this
        log. Unless the table has this run's end, that process has taken over the run.
        """
        self._forget(events)
        if not self._is_end_stored:
            self.on_taken_over()

    def _forget(self, events: Sequence[Event]) -> None:
        del self._pending[: len(events)]
        self._in_flight -= len(events)
        if not self._pending:
            self._all_answered.set()


class LogWriter:
    """One task that writes for all runs, since one round trip can carry many of them."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._waiting: dict[str, RunLog] = {}
        self._woken = asyncio.Event()
        self._cooldown = Cooldown(PAUSE_SECONDS)

    def open(self, run_id: str, *, attempt: int = 1, ttl: int) -> RunLog:
        """Return a log for an attempt. `ttl` is its expiry after its end, in seconds."""
        return RunLog(run_id, self, attempt=attempt, ttl=ttl)

    def wake(self, run_log: RunLog) -> None:
        self._waiting[run_log.run_id] = run_log
        self._woken.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write all waiting events."""
        logs, self._waiting = list(self._waiting.values()), {}
        work = [(each, each.take_batch()) for each in logs]
        durable = [(each, events) for each, events in work if each.is_durable]
        for run_log, events in work:
            if not run_log.is_durable:
                run_log.written(events, is_durable=False)
        if durable:
            await self._write(durable)

    async def _write(self, work: list[tuple[RunLog, list[Event]]]) -> None:
        answers: list[list[object]] = [[None] for _ in work]
        if not self._cooldown.is_active:
            try:
                answers = await self._send(work)
            except UNAVAILABLE as error:
                log.warning("event log: write failed (error=%s)", error.__class__.__name__)
                self._cooldown.start()
        for (run_log, events), answer in zip(work, answers, strict=True):
            if any(map(is_out_of_order, answer)):
                run_log.on_conflict(events)
            else:
                run_log.written(events, is_durable=not any(map(is_unwritten, answer)))

    async def _send(self, work: list[tuple[RunLog, list[Event]]]) -> list[list[object]]:
        counts = []
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_log, events in work:
                key, attempt = key_of(run_log.run_id), run_log.attempt
                commands = list(commands_of(key, events, attempt=attempt, ttl=run_log.ttl))
                counts.append(len(commands))
                for command in commands:
                    pipe.execute_command(*command)
            answers = iter(await pipe.execute(raise_on_error=False))
        return [[next(answers) for _ in range(count)] for count in counts]


def is_out_of_order(answer: object) -> bool:
    """Return whether Redis has refused an entry because the log has a later one."""
    return isinstance(answer, redis.ResponseError) and OUT_OF_ORDER in str(answer)


def is_unwritten(answer: object) -> bool:
    return answer is None or isinstance(answer, redis.ResponseError)
