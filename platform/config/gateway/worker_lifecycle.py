"""Opens the parts of a gateway worker, runs their background tasks, serves, and closes them."""

import asyncio
import gc
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import redis
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

from config.gateway.background_tasks import Background
from config.gateway.composition import GatewayWorker
from config.gateway.health import GatewayHealth
from config.gateway.lifespan import Lifespan
from config.gateway.routing import health_routes, http_application, socket_application
from config.trusted_proxies import with_client_address
from kernel.logs import identify_process
from tenants.admission.usage.spool import SpoolUnwritable

log = logging.getLogger(__name__)

Work = Iterable[tuple[str, Coroutine[Any, Any, None]]]
"""Coroutines that run as long as the worker, each with its name for logs."""
LEDGER_TIMEOUT_SECONDS = 30.0
"""Timeout for PostgreSQL at shutdown; remaining usage records stay in the spool."""


def application_of(worker: GatewayWorker) -> ProtocolTypeRouter:
    """Return the gateway as one ASGI application. Its lifespan opens and closes the worker."""
    health = health_of(worker)
    return ProtocolTypeRouter(
        {
            "http": with_client_address(
                worker.shutdown.with_connection_close(http_application(worker.gateway, health))
            ),
            "websocket": with_client_address(socket_application(worker.gateway)),
            "lifespan": Lifespan(WorkerLifecycle(worker)),
        }
    )


def node_application_of(worker: GatewayWorker) -> ProtocolTypeRouter:
    """Return an agent node as an ASGI application: health checks, metrics, and its lifespan."""
    return ProtocolTypeRouter(
        {
            "http": URLRouter(health_routes(worker.gateway, health_of(worker))),
            "lifespan": Lifespan(WorkerLifecycle(worker)),
        }
    )


def health_of(worker: GatewayWorker) -> GatewayHealth:
    return GatewayHealth(
        shutdown=worker.shutdown,
        fleet=worker.fleet,
        limits=worker.redis.limits,
        ensure_writable=worker.loaders.ensure_writable,
    )


class WorkerLifecycle:
    """Holds a gateway worker open inside `async with`."""

    def __init__(self, worker: GatewayWorker) -> None:
        self._worker = worker
        self._background = Background(end_worker=worker.shutdown.shutdown_now)

    async def __aenter__(self) -> Self:
        """Open the worker. Raises DatabaseUnavailable if the first snapshot cannot be loaded, and,
        for an agent node, the errors of its registration.
        """
        worker = self._worker
        identify_process(worker=worker.workers.name)
        worker.shutdown.install_signal_handlers()
        await worker.database.open()
        worker.follower.last_revision = await worker.loaders.latest_revision()
        await worker.publications.load_fleet()
        await self._prepare_spool()
        await worker.upstream.open()
        if worker.is_agent_node:
            # A node without a valid token must not start.
            await worker.registration.register()
            await worker.placement.load()
        for name, work in background_tasks(worker):
            self._background.start(name, work)
        tune_gc()
        return self

    async def _prepare_spool(self) -> None:
        try:
            await asyncio.to_thread(self._worker.spool.prepare)
        except SpoolUnwritable as error:
            log.critical("spool: unwritable, nothing is served without PostgreSQL: %s", error)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the worker after the last request, and write the usage of all requests."""
        worker = self._worker
        clients = worker.redis
        async with AsyncExitStack() as closing:
            closing.push_async_callback(worker.database.close)
            closing.push_async_callback(clients.limits.aclose)
            closing.push_async_callback(worker.counters.aclose)
            closing.push_async_callback(clients.subscriber.aclose)
            closing.push_async_callback(clients.response_cache.aclose)
            closing.push_async_callback(worker.upstream.close)
            closing.push_async_callback(clients.events.aclose)
            closing.push_async_callback(clients.tails.aclose)
            # A node must not claim the runs again that it releases.
            await worker.queue_consumer.stop()
            seconds = worker.shutdown.remaining_seconds(settings.DRAIN_SECONDS)
            await worker.runner.drain(seconds=seconds)
            await worker.event_log.close_readers()
            await self._background.stop()
            await self._unregister()
            await worker.ledger.close(seconds=min(settings.DRAIN_SECONDS, LEDGER_TIMEOUT_SECONDS))

    async def _unregister(self) -> None:
        """Leave the registry, so that the remaining workers share limits and slots."""
        await self._worker.registration.leave()
        try:
            await self._worker.workers.leave()
        except (redis.RedisError, OSError) as error:
            log.debug(
                "worker registry: not removed at shutdown (error=%s)", error.__class__.__name__
            )


def background_tasks(worker: GatewayWorker) -> Work:
    """Return the work of a gateway worker, or of an agent node."""
    work = (
        ("ledger writer", worker.ledger.run()),
        ("hold heartbeat", worker.holds.run()),
        ("worker registry", worker.workers.run()),
        ("node registration", worker.registration.run()),
        ("refusal log", worker.refusals.run()),
        ("publication poll", worker.follower.follow()),
        ("publication listener", worker.follower.listen()),
        ("worker state sync", worker.worker_sync.run()),
        ("pool queues", worker.dispatcher.run()),
        ("stream watchdog", worker.watchdog.run()),
        ("event log writer", worker.event_log.writer.run()),
        ("worker pubsub", worker.pubsub.run()),
        ("run leases", worker.runner.run()),
        ("paused runs", worker.runner.resume_decided()),
    )
    return (*work, *queue_tasks(worker)) if worker.is_agent_node else work


def queue_tasks(worker: GatewayWorker) -> Work:
    """Return the work of an agent node for the run queue."""
    return (
        ("placement", worker.placement.run()),
        ("run queue", worker.queue_consumer.run()),
        ("runs of dead workers", worker.queue_consumer.requeue_dead()),
    )


def tune_gc() -> None:
    """Exclude objects of the start from garbage collection: 10 % of a request's time."""
    gc.collect()
    gc.freeze()
    # A collection of 20,000 young objects takes 9 ms, which delays first tokens.
    gc.set_threshold(5_000, 50, 50)
