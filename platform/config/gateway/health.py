"""The health checks and metrics of a gateway worker."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import asdict

import redis
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Metric,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from redis.asyncio import Redis

from agents.doors.base.call import Call
from config.gateway.graceful_shutdown import GracefulShutdown
from inference.fleet.snapshot import Endpoint, FleetReference
from kernel.errors import PlatformError
from kernel.health import Check, failure_name
from kernel.storage.redis import READY_KEY, READY_KEY_SECONDS

TIMEOUT_SECONDS = 2.0


class GatewayHealth:
    """The handlers of `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self,
        *,
        shutdown: GracefulShutdown,
        fleet: FleetReference,
        limits: Redis,
        ensure_writable: Callable[[], Awaitable[None]],
    ) -> None:
        """`limits` is the client of Redis for limits; `ensure_writable` checks PostgreSQL."""
        self._shutdown = shutdown
        self._fleet = fleet
        self._limits = limits
        self._ensure_writable = ensure_writable

    async def alive(self, call: Call) -> None:
        """Respond to a liveness probe: the event loop runs."""
        await call.respond_json({"status": "ok"})

    async def ready(self, call: Call) -> None:
        """Respond to a readiness probe, with the state and the latency of every dependency.

        Without PostgreSQL or Redis a worker serves from its caches; without a snapshot of the fleet
        it cannot. A worker that shuts down still serves requests, but is not ready.
        """
        if self._shutdown.has_started:
            await call.respond_json({"status": "leaving"}, status=503)
            return
        database, cache = await asyncio.gather(
            self._timed(self._ensure_writable),
            self._timed(self._ensure_redis_writable),
        )
        is_ready = self._fleet.loaded
        body = {
            "status": "ready" if is_ready else "not ready",
            "checks": {
                "database": asdict(database),
                "cache": asdict(cache),
                "engines": asdict(self._engines()),
            },
        }
        await call.respond_json(body, status=200 if is_ready else 503)

    async def _ensure_redis_writable(self) -> None:
        await self._limits.set(READY_KEY, b"", ex=READY_KEY_SECONDS)

    async def _timed(self, probe: Callable[[], Awaitable[object]]) -> Check:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await probe()
        except (PlatformError, redis.RedisError, OSError) as error:
            return Check(status="down", detail=failure_name(error))
        return Check(status="up", latency_ms=round((loop.time() - started) * 1000, 2))

    def _endpoints(self) -> dict[str, Endpoint]:
        pools = self._fleet.current.pools()
        return {each.id: each for pool in pools for each in pool.endpoints}

    def _engines(self) -> Check:
        endpoints = self._endpoints()
        ready = sum(endpoint.ready for endpoint in endpoints.values())
        status = "up" if ready else "down"
        return Check(status=status, detail=f"{ready} of {len(endpoints)} endpoints ready")

    async def metrics(self, call: Call) -> None:
        """Respond with the metrics of all workers, in Prometheus' text format."""
        text = await asyncio.to_thread(collect, self._endpoints().keys())
        kind = (b"content-type", CONTENT_TYPE_LATEST.encode())
        await call.respond(text, headers=[kind])


class PresentEndpoints(Collector):
    """The metrics of a registry without the series of endpoints that are gone.

    prometheus_client cannot remove a series that several processes share, so that the breaker of
    an endpoint that was deregistered would stay open for ever.
    """

    def __init__(self, registry: Collector, endpoints: Collection[str]) -> None:
        self._registry = registry
        self._endpoints = endpoints

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if self._is_present(sample)]
            yield metric

    def _is_present(self, sample: Sample) -> bool:
        endpoint = sample.labels.get("endpoint")
        return endpoint is None or endpoint in self._endpoints


def collect(endpoints: Collection[str]) -> bytes:
    """Return the metrics of all workers if they share a folder, else of this process."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(PresentEndpoints(registry, endpoints))
