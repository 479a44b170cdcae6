"""Is it alive, may it take traffic, and what did it measure: the gateway's answers."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import redis
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from agents.doors.base.call import Call
from config.gateway.composition import GatewayWorker
from kernel.errors import PlatformError
from kernel.health import Check, failure_name

TIMEOUT_SECONDS = 2.0


class GatewayHealth:
    """The handlers of `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, worker: GatewayWorker) -> None:
        self._worker = worker

    async def alive(self, call: Call) -> None:
        """The event loop turns."""
        await call.respond_json({"status": "ok"})

    async def ready(self, call: Call) -> None:
        """Whether this worker may take traffic, with every dependency's state and latency.

        Without PostgreSQL or Redis it still serves what it knows; without a snapshot, nothing. One
        that leaves serves what comes, and wants no more to come.
        """
        if self._worker.shutdown.has_begun:
            await call.respond_json({"status": "leaving"}, status=503)
            return
        database, cache = await asyncio.gather(
            self._timed(self._worker.ask_database), self._timed(self._worker.ask_redis)
        )
        is_ready = self._worker.fleet.loaded
        body = {
            "status": "ready" if is_ready else "not ready",
            "checks": {
                "database": asdict(database),
                "cache": asdict(cache),
                "engines": asdict(self._engines()),
            },
        }
        await call.respond_json(body, status=200 if is_ready else 503)

    async def _timed(self, probe: Callable[[], Awaitable[object]]) -> Check:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await probe()
        except (PlatformError, redis.RedisError, OSError) as error:
            return Check(status="down", detail=failure_name(error))
        return Check(status="up", latency_ms=round((loop.time() - started) * 1000, 2))

    def _engines(self) -> Check:
        routes = self._worker.fleet.current.routes.values()
        endpoints = {e.id: e for route in routes for e in route.pool.endpoints}
        ready = sum(endpoint.ready for endpoint in endpoints.values())
        status = "up" if ready else "down"
        return Check(status=status, detail=f"{ready} of {len(endpoints)} endpoints ready")

    async def metrics(self, call: Call) -> None:
        """All workers' measurements, in Prometheus' text format."""
        text = await asyncio.to_thread(collect)
        kind = (b"content-type", CONTENT_TYPE_LATEST.encode())
        await call.respond(text, headers=[kind])


def collect() -> bytes:
    """Of every worker where they share a folder, else of this process."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
