"""Exchanges load and ejections of endpoints between gateway workers, through Redis."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Annotated, TypedDict

import msgspec
import redis
from redis.asyncio import Redis

from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import ReportedLoad
from inference.fleet.redis_keys import LOADS, WORKER, WORKERS
from kernel.storage.shared_values import read_json

log = logging.getLogger(__name__)

SYNC_SECONDS = 0.5
REPORT_TTL_SECONDS = 5
MAX_LOAD_AGE_SECONDS = 45.0
"""Maximum age of the load that an engine reported: a few heartbeats."""

Queues = Callable[[], Mapping[str, int]]


class EndpointReport(TypedDict):
    """The state of one endpoint in one worker."""

    in_flight: Annotated[int, msgspec.Meta(ge=0)]
    ejected_until: float | None


class WorkerReport(msgspec.Struct, frozen=True):
    """The report of one worker."""

    endpoints: dict[str, EndpointReport]


class WorkerStateSync:
    """Publishes the state of this worker's balancer, and applies that of the others."""

    def __init__(
        self, client: Redis, balancer: EndpointBalancer, *, name: str, queues: Queues
    ) -> None:
        self._redis = client
        self._balancer = balancer
        self._name = name
        self._queues = queues

    async def run(self) -> None:
        """Exchange the state until cancelled."""
        while True:
            self._balancer.tick()
            try:
                await self.exchange_state()
            except (redis.RedisError, OSError) as error:
                # Without Redis each worker uses only its own state.
                self._balancer.apply_worker_reports(())
                log.debug("worker sync: exchange failed (error=%s)", error.__class__.__name__)
            await asyncio.sleep(SYNC_SECONDS)

    async def exchange_state(self) -> None:
        """Write the report of this worker, and read those of the others. Raises RedisError."""
        report = {
            "endpoints": self._balancer.report(),
            "queues": dict(self._queues()),
            "demand": self._balancer.demand(),
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(WORKER + self._name, msgspec.json.encode(report), ex=REPORT_TTL_SECONDS)
            pipe.sadd(WORKERS, self._name)
            pipe.hgetall(LOADS)
            pipe.smembers(WORKERS)
            *_, loads, names = await pipe.execute()
        self._balancer.apply_engine_loads(fresh_loads(loads, now=time.time()))
        others = sorted(names - {self._name.encode()})
        self._balancer.apply_worker_reports(await self._reports(others))

    async def _reports(self, others: list[bytes]) -> list[dict[str, EndpointReport]]:
        if not others:
            return []
        texts = await self._redis.mget([WORKER.encode() + name for name in others])
        gone = [name for name, text in zip(others, texts, strict=True) if text is None]
        if gone:
            await self._redis.srem(WORKERS, *gone)
        reports = (read_json(text, WorkerReport, reader="worker_report") for text in texts)
        return [report.endpoints for report in reports if report is not None]


def fresh_loads(packed_loads: Mapping[bytes, bytes], *, now: float) -> dict[str, ReportedLoad]:
    """Return the reported loads by endpoint, without those older than MAX_LOAD_AGE_SECONDS."""
    loads = {
        name.decode(errors="replace"): read_json(text, ReportedLoad, reader="endpoint_load")
        for name, text in packed_loads.items()
    }
    return {
        name: load
        for name, load in loads.items()
        if load is not None and now - load.at <= MAX_LOAD_AGE_SECONDS
    }
