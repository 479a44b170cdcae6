"""Measures the load of this process for its heartbeats as a node."""

import asyncio
import time
from collections.abc import Sized

from agents.doors.base.open_sockets import OpenSockets
from agents.nodes.health import NodeLoad
from config.gateway.graceful_shutdown import GracefulShutdown
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import FleetReference
from tenants.admission.redis_counters.worker_registry import WorkerRegistry

STEP_SECONDS = 0.5
"""Interval at which the delay of the event loop is measured."""


class NodeMeter:
    """Reads the counters of the worker. Maximum and CPU are since the last reading."""

    def __init__(
        self,
        *,
        runs: Sized,
        sockets: OpenSockets,
        in_flight: InFlight,
        fleet: FleetReference,
        workers: WorkerRegistry,
        shutdown: GracefulShutdown,
    ) -> None:
        """`workers` says whether Redis answers."""
        self._runs = runs
        self._sockets = sockets
        self._in_flight = in_flight
        self._fleet = fleet
        self._workers = workers
        self._shutdown = shutdown
        self._max_lag = 0.0
        self._cpu = (time.monotonic(), time.process_time())
        self._database_failed_at: float | None = None

    async def pause(self, seconds: float) -> None:
        """Wait, and measure how late the event loop wakes this task."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        while (left := ends_at - loop.time()) > 0:
            due = loop.time() + min(STEP_SECONDS, left)
            await asyncio.sleep(due - loop.time())
            self._max_lag = max(self._max_lag, loop.time() - due)

    def note_database_failure(self) -> None:
        """Record that a call to PostgreSQL failed now."""
        self._database_failed_at = time.monotonic()

    def read(self) -> NodeLoad:
        """Return the load, and begin a new interval."""
        now, used = time.monotonic(), time.process_time()
        (since, used_before), self._cpu = self._cpu, (now, used)
        lag, self._max_lag = self._max_lag, 0.0
        failed_at = self._database_failed_at
        ready = {
            endpoint.id: endpoint.is_able
            for pool in self._fleet.current.pools()
            for endpoint in pool.endpoints
        }
        return NodeLoad(
            runs=len(self._runs),
            sockets=self._sockets.total(),
            requests=self._in_flight.total(),
            cpu=(used - used_before) / max(now - since, 0.001),
            loop_lag_seconds=lag,
            engines=len(ready),
            engines_ready=sum(ready.values()),
            is_redis_reachable=self._workers.is_reachable,
            database_failed_seconds=None if failed_at is None else now - failed_at,
            is_draining=self._shutdown.has_started,
        )
