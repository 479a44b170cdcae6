"""What gateway workers tell each other twice a second: what runs where, and who is left out."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Annotated, TypedDict

import msgspec
import redis
from redis.asyncio import Redis

from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import Load
from inference.fleet.redis_keys import LOADS, WORKER, WORKERS
from kernel.storage.shared_values import read_json

log = logging.getLogger(__name__)

SECONDS = 0.5
REMEMBERED_SECONDS = 5
FRESH_SECONDS = 45.0
"""For which an engine's word of its load is believed: a few heartbeats."""

Queues = Callable[[], Mapping[str, int]]


class EndpointReport(TypedDict):
    """What one worker says of one endpoint, as far as others need it."""

    in_flight: Annotated[int, msgspec.Meta(ge=0)]
    ejected_until: float | None


class WorkerReport(msgspec.Struct, frozen=True):
    """What one worker says."""

    endpoints: dict[str, EndpointReport]


class WorkerStateSync:
    """Tells what this worker's board knows, and lets it hear the others."""

    def __init__(
        self, client: Redis, board: EndpointBalancer, *, name: str, queues: Queues
    ) -> None:
        self._redis = client
        self._board = board
        self._name = name
        self._queues = queues

    async def run(self) -> None:
        """Talk until cancelled."""
        while True:
            self._board.look()
            try:
                await self.exchange_state()
            except (redis.RedisError, OSError) as error:
                # Everybody goes by what it sees itself.
                self._board.hear(())
                log.debug("worker sync: exchange failed (error=%s)", error.__class__.__name__)
            await asyncio.sleep(SECONDS)

    async def exchange_state(self) -> None:
        """Tell and hear once. Raises RedisError."""
        report = {
            "endpoints": self._board.report(),
            "queues": dict(self._queues()),
            "demand": self._board.demand(),
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(WORKER + self._name, msgspec.json.encode(report), ex=REMEMBERED_SECONDS)
            pipe.sadd(WORKERS, self._name)
            pipe.hgetall(LOADS)
            pipe.smembers(WORKERS)
            *_, loads, names = await pipe.execute()
        self._board.apply_engine_loads(fresh_loads(loads, now=time.time()))
        others = sorted(names - {self._name.encode()})
        self._board.hear(await self._reports(others))

    async def _reports(self, others: list[bytes]) -> list[dict[str, EndpointReport]]:
        if not others:
            return []
        texts = await self._redis.mget([WORKER.encode() + name for name in others])
        gone = [name for name, text in zip(others, texts, strict=True) if text is None]
        if gone:
            await self._redis.srem(WORKERS, *gone)
        reports = (read_json(text, WorkerReport, reader="worker_report") for text in texts)
        return [report.endpoints for report in reports if report is not None]


def fresh_loads(packed_loads: Mapping[bytes, bytes], *, now: float) -> dict[str, Load]:
    """What engines said of their load, by endpoint, without what is too old to go by."""
    loads = {
        name.decode(errors="replace"): read_json(text, Load, reader="endpoint_load")
        for name, text in packed_loads.items()
    }
    return {
        name: load
        for name, load in loads.items()
        if load is not None and now - load.at <= FRESH_SECONDS
    }
