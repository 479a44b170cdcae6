"""Writes the logs of all runs of a worker: what waits goes to Redis in one round trip."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import redis
from redis.asyncio import Redis

from agents.events.buffer import EventBuffer
from agents.events.event import Event
from agents.events.stream import commands_of, key_of

log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""For which Redis is not asked again after it failed."""
LAST_EVENT_SECONDS = 5.0
"""More than Redis' client waits for an answer."""
OUT_OF_ORDER = "equal or smaller than the target stream top item"
AWAY = (redis.ConnectionError, redis.TimeoutError, OSError)


class RunLog:
    """The writing end of one run's log.

    Readers see an event when Redis has it, and the end as soon as the table has it: whoever reads
    elsewhere, and finds a log without an end, asks the table too.
    """

    def __init__(self, run_id: str, writer: "LogWriter", *, ttl: int) -> None:
        self.run_id = run_id
        self.feed = EventBuffer()
        self.ttl = ttl
        self.is_kept = True
        """False once Redis missed something: then only readers in this process see the run."""
        self.on_taken: Callable[[], None] = lambda: None
        """Called when somebody else has ended the log."""
        self._writer = writer
        self._pending: list[Event] = []
        """Told, and not answered by Redis; the first `_taken` of them are on their way."""
        self._taken = 0
        self._held = True
        self._is_settled = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    def append(self, events: Sequence[Event]) -> None:
        """Tell, in order. Not a coroutine: a run never waits for its log."""
        self._pending += events
        self._quiet.clear()
        if not self._held:
            self._writer.wake(self)

    def release(self) -> None:
        """Start writing: the run is stored, so that no event precedes its row."""
        self._held = False
        if self._pending:
            self._writer.wake(self)

    def end(self, events: Sequence[Event]) -> None:
        """Tell the last events of a run whose end the table has: readers here need not wait until
        Redis has them too.

        Unless Redis has nothing of this log yet: it could be deleted now, and then begin anew.
        """
        if self.feed.events:
            self._is_settled = True
            self.feed.add((*self._pending, *events))
        self._held = False
        self.append(events)

    async def flushed(self) -> None:
        """Return when Redis has answered about everything that was told, or has had the time."""
        try:
            async with asyncio.timeout(LAST_EVENT_SECONDS):
                await self._quiet.wait()
        except TimeoutError:
            log.warning("event log: still unwritten at the end of a run")

    def take(self) -> list[Event]:
        events = self._pending[self._taken :]
        self._taken = len(self._pending)
        return events

    def written(self, events: Sequence[Event], *, kept: bool) -> None:
        """Show to readers what Redis has, or what it will never have."""
        if self.is_kept and not kept:
            log.warning("event log: not kept, its run cannot be resumed elsewhere")
        self.is_kept = self.is_kept and kept
        self._forget(events)
        self.feed.add(events)

    def refused(self, events: Sequence[Event]) -> None:
        """Ids only rise: somebody has ended this log. From the table, if that has the end; else
        it was somebody who took the worker for dead.
        """
        self._forget(events)
        if not self._is_settled:
            self.on_taken()

    def _forget(self, events: Sequence[Event]) -> None:
        del self._pending[: len(events)]
        self._taken -= len(events)
        if not self._pending:
            self._quiet.set()


class LogWriter:
    """One task for all runs: many at once cost hardly more than one."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._waiting: dict[str, RunLog] = {}
        self._woken = asyncio.Event()
        self._away_until = 0.0

    def open(self, run_id: str, *, ttl: int) -> RunLog:
        """A new log. `ttl`: seconds for which it is kept after its end."""
        return RunLog(run_id, self, ttl=ttl)

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
        """Write everything that waits."""
        logs, self._waiting = list(self._waiting.values()), {}
        work = [(each, each.take()) for each in logs]
        kept = [(each, events) for each, events in work if each.is_kept]
        for run_log, events in work:
            if not run_log.is_kept:
                run_log.written(events, kept=False)
        if kept:
            await self._write(kept)

    async def _write(self, work: list[tuple[RunLog, list[Event]]]) -> None:
        now = asyncio.get_running_loop().time()
        answers: list[list[object]] = [[None] for _ in work]
        if now >= self._away_until:
            try:
                answers = await self._send(work)
            except AWAY as error:
                log.warning("event log: write failed (error=%s)", error.__class__.__name__)
                self._away_until = now + AWAY_SECONDS
        for (run_log, events), answer in zip(work, answers, strict=True):
            if any(map(is_out_of_order, answer)):
                run_log.refused(events)
            else:
                run_log.written(events, kept=not any(map(is_unwritten, answer)))

    async def _send(self, work: list[tuple[RunLog, list[Event]]]) -> list[list[object]]:
        counts = []
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_log, events in work:
                commands = list(commands_of(key_of(run_log.run_id), events, ttl=run_log.ttl))
                counts.append(len(commands))
                for command in commands:
                    pipe.execute_command(*command)
            answers = iter(await pipe.execute(raise_on_error=False))
        return [[next(answers) for _ in range(count)] for count in counts]


def is_out_of_order(answer: object) -> bool:
    """Whether Redis has refused an entry because a later one is there."""
    return isinstance(answer, redis.ResponseError) and OUT_OF_ORDER in str(answer)


def is_unwritten(answer: object) -> bool:
    return answer is None or isinstance(answer, redis.ResponseError)
