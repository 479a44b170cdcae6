"""Writes the logs of all runs of a worker: what waits goes to Redis in one round trip."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import redis
from redis.asyncio import Redis

from agents.events.event import Event
from agents.events.feed import Feed
from agents.events.stream import commands_of, key_of

log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""For which Redis is not asked again after it failed."""
AWAY = (redis.ConnectionError, redis.TimeoutError, OSError)


class RunLog:
    """The writing end of one run's log. Readers see an event when Redis has it."""

    def __init__(self, run_id: str, writer: "LogWriter", *, ttl: int) -> None:
        self.run_id = run_id
        self.feed = Feed()
        self.ttl = ttl
        self.is_kept = True
        """False once Redis missed something: then only readers in this process see the run."""
        self.on_taken: Callable[[], None] = lambda: None
        """Called when somebody else has ended the log."""
        self._writer = writer
        self._unwritten: list[Event] = []
        self._held = True

    def append(self, events: Sequence[Event]) -> None:
        """Tell, in order. Not a coroutine: a run never waits for its log."""
        self._unwritten += events
        if not self._held:
            self._writer.wake(self)

    def release(self) -> None:
        """From now on write: the run is known, so that nobody hears of one that is not."""
        self._held = False
        if self._unwritten:
            self._writer.wake(self)

    def take(self) -> list[Event]:
        events, self._unwritten = self._unwritten, []
        return events

    def written(self, events: Sequence[Event], *, kept: bool) -> None:
        """Show to readers what Redis has, or what it will never have."""
        if self.is_kept and not kept:
            log.warning("the log of a run is not kept: it cannot be resumed elsewhere")
        self.is_kept = self.is_kept and kept
        self.feed.add(events)


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
                log.warning("logs of runs are not kept: %s", error.__class__.__name__)
                self._away_until = now + AWAY_SECONDS
        for (run_log, events), answer in zip(work, answers, strict=True):
            if any(isinstance(each, redis.ResponseError) for each in answer):
                # Ids only rise: somebody has ended this log, who took the worker for dead.
                run_log.on_taken()
            else:
                run_log.written(events, kept=None not in answer)

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
