"""One gateway worker: its parts, built once, opened and closed with the server."""

import asyncio
import gc
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import redis
from django.conf import settings

from agents.doors.base.gateway import Gateway
from agents.doors.websocket.open_sockets import OpenSockets
from agents.errors import AgentsUnavailable
from agents.events.log import BLOCK_SECONDS, EventLog
from agents.events.pubsub import WorkerPubSub
from agents.events.replay import end_frame
from agents.runtime.catalog.agents import AgentCatalog, Pin, PublishedAgent
from agents.runtime.catalog.tools import ToolCatalog
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.runner import Runner
from agents.runtime.execution.tool_dependencies import ToolDependencies
from agents.runtime.response_cache.cache import ResponseCache
from agents.runtime.response_cache.redis_store import RedisCacheStore
from agents.runtime.tools.kinds import tool_handlers
from agents.runtime.tools.local_kinds import local_tool_handlers
from agents.runtime.tools.mcp.calling import load_library
from agents.schema.json_types import Json
from agents.schema.tool_spec import ToolSpec
from agents.selectors import load_published_agents, load_revision
from agents.tool_library.store import load_tools_by_name
from config.gateway.background_tasks import Background
from config.gateway.conversation_store import DatabaseConversations
from config.gateway.graceful_shutdown import GracefulShutdown
from config.gateway.run_store import database_runs
from inference.engines.resolver import EngineResolver
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import FleetReference
from inference.fleet.worker_sync import WorkerStateSync
from inference.publishing import load_fleet
from inference.queueing.dispatcher import Dispatcher
from inference.relay.fallback import Fallbacks
from inference.relay.relay import Relay
from inference.relay.upstream import Upstream
from inference.relay.watchdog import Watchdog
from inference.topics import FLEET
from kernel.egress.client import configured_egress
from kernel.errors import DatabaseAway
from kernel.publishing.follower import Follower
from kernel.publishing.publish import CHANNEL, latest_revision, revisions_after
from kernel.storage import postgres
from kernel.storage.cache import LoadingCache
from kernel.storage.database import (
    UNAVAILABLE,
    DatabaseThreads,
    Rows,
    Statement,
    StatementPool,
    ensure_writable,
)
from kernel.storage.redis import READY_KEY, READY_KEY_SECONDS, connect_async
from tenants.admission.authentication import Keyring
from tenants.admission.decider import Decider
from tenants.admission.gate import Gate
from tenants.admission.holds import Holds
from tenants.admission.limits.cache import LimitsCache
from tenants.admission.limits.rules import CounterState, TenantLimits
from tenants.admission.principal import Principal
from tenants.admission.redis_counters.counters import Counters
from tenants.admission.redis_counters.refusal_log import Refusals
from tenants.admission.redis_counters.worker_registry import LiveWorkers
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.spool import SpoolUnwritable
from tenants.admission.usage.spool_folder import FolderSpool
from tenants.admission.usage.writer import Appended, LedgerUnavailable, LedgerWriter
from tenants.errors import KeysUnavailable, LimitsUnavailable, LimitsUnknown
from tenants.ledger import append_usage, load_counters
from tenants.ledger.usage_queries import load_usage
from tenants.ledger.usage_report import QuotaLine, UsageQuestion, UsageReport
from tenants.limits.effective import load_limits
from tenants.limits.quota_status import load_quota_lines
from tenants.selectors import load_principal

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_THREADS = 4
DATABASE_TIMEOUT_SECONDS = 1.7
"""For what a client waits for: it hears within 2 s that the database is away."""
REPORT_TIMEOUT_SECONDS = 3.0
"""For reports of usage, which sum up many rows."""
LEDGER_APPEND_SECONDS = 3.0
"""For a batch of usage: no client waits for it, and it may wait for locks."""
EVENTS_TIMEOUT_SECONDS = 1.0
RESPONSE_CACHE_TIMEOUT_SECONDS = 0.25
"""For kept answers: after that a model is asked."""
LEDGER_TIMEOUT_SECONDS = 30.0
"""At the end, for PostgreSQL; what it does not take then is in the spool."""
USAGE_SECONDS = 5.0
"""How old an answer about usage may be: scripts ask in loops."""
USAGE_ANSWERS = 1000


class GatewayWorker:
    """Everything of a gateway worker that must be opened and closed."""

    def __init__(self) -> None:
        self._database = DatabaseThreads(size=DATABASE_THREADS)
        self._statements = StatementPool(size=settings.STATEMENT_POOL_SIZE)
        self._upstream = Upstream(
            connections=settings.UPSTREAM_CONNECTIONS,
            resolver=partial(EngineResolver, allow_loopback=settings.LOOPBACK_ENDPOINTS),
        )
        self._watch = Watchdog()
        self.shutdown = GracefulShutdown(seconds=settings.LEAVE_SECONDS)
        self._background = Background(end_worker=self.shutdown.shutdown_now)
        self.in_flight = InFlight()
        self.redis = connect_async(settings.REDIS_LIMITS_URL)
        self._subscriber = connect_async(settings.REDIS_URL, timeout=None)
        # Not the server of limits: events are many, and decisions must not wait for them.
        self._events = connect_async(settings.REDIS_URL, timeout=EVENTS_TIMEOUT_SECONDS)
        self._tails = connect_async(settings.REDIS_URL, timeout=BLOCK_SECONDS + 5)
        self._shelf = connect_async(settings.REDIS_URL, timeout=RESPONSE_CACHE_TIMEOUT_SECONDS)
        self._spool = FolderSpool(Path(settings.SPOOL_DIR))
        self.counters = Counters(self.redis, self._load_counters)
        self.holds = Holds(self.counters)
        self.ledger = LedgerWriter(
            self._append_usage,
            spool=self._spool,
            settled=self.holds.settled,
            spooled=self.holds.spooled,
        )
        self._book = LimitsCache(self._load_limits)
        self._workers = LiveWorkers(self.redis)
        self._refusals = Refusals(self.redis)
        self.fleet = FleetReference()
        self._rng = random.Random()  # noqa: S311 - drawing lots among equals
        self.board = EndpointBalancer(self.in_flight, rng=self._rng)
        self._relay = Relay(
            upstream=self._upstream, board=self.board, watch=self._watch, rng=self._rng
        )
        self.dispatcher = self._assemble_dispatcher()
        self._worker_sync = WorkerStateSync(
            self.redis, self.board, name=self._workers.name, queues=self.dispatcher.waiting
        )
        self._conversations = DatabaseConversations(self._ask, redis=self._events)
        self._runs = database_runs(self._ask, self._state, conversations=self._conversations)
        self._pubsub = WorkerPubSub(self._events, self._subscriber)
        self.event_log = EventLog(
            self._events, self._tails, find_end=self._find_end, ttl=settings.RUN_LOG_SECONDS
        )
        self._tools = ToolCatalog(self._load_tools)
        self.gateway = self._assemble()
        self.follower = Follower(
            poll=self._poll, handle=self._handle, redis=self._subscriber, channel=CHANNEL
        )

    def _assemble(self) -> Gateway:
        gate = self._assemble_gate()
        relay = Fallbacks(self.dispatcher, board=self.board, budget=self._relay.budget)
        catalog = AgentCatalog(self._load_agents, self._load_revision)
        answers = ResponseCache(RedisCacheStore(self._shelf))
        keyring = Keyring(self._load_principal, peppers=settings.KEY_PEPPERS)
        dependencies = RunDependencies(
            worker=self._workers.name,
            gate=gate,
            relay=relay,
            catalog=catalog,
            fleet=self.fleet,
            store=self._runs,
            log=self.event_log,
            pubsub=self._pubsub,
            tool_dependencies=ToolDependencies(
                tools=self._tools,
                kinds=partial(tool_handlers, local_tool_handlers(configured_egress())),
            ),
            answers=answers,
            find_principal=keyring.find,
        )
        self.runner = Runner(dependencies)
        return Gateway(
            keyring=keyring,
            gate=gate,
            catalog=catalog,
            conversations=self._conversations,
            fleet=self.fleet,
            relay=relay,
            runner=self.runner,
            runs=self._runs,
            watch=self._watch,
            quotas=self._load_quotas,
            redis=self.redis,
            answers=answers,
            usage=LoadingCache(self._load_usage, ttl=USAGE_SECONDS, size=USAGE_ANSWERS),
            max_body_bytes=settings.MAX_BODY_BYTES,
            allowed_origins=frozenset(settings.ALLOWED_ORIGINS),
            allow_loopback_origins=settings.IS_LOCAL,
            sockets=OpenSockets(most=settings.TENANT_SOCKETS),
        )

    async def _find_end(self, run_id: str) -> Json | None:
        known = await self._runs.load_ended(run_id)
        return None if known is None else end_frame(known)

    def _assemble_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self._relay,
            fleet=self.fleet,
            elsewhere=self.board.elsewhere,
            workers=lambda: self._workers.count,
        )

    def _assemble_gate(self) -> Gate:
        decider = Decider(
            counters=self.counters,
            workers=self._workers,
            refusals=self._refusals,
            settle=self.ledger.settle_now,
        )
        return Gate(
            book=self._book,
            counters=self.counters,
            decider=decider,
            holds=self.holds,
            ledger=self.ledger,
        )

    async def __aenter__(self) -> Self:
        """Raises DatabaseAway if there is no first snapshot: such a worker would serve nothing."""
        self.shutdown.hear_signals()
        await self._statements.open()
        self.follower.seen = await self._ask(latest_revision)
        await self._load_fleet()
        await self._prepare_spool()
        await self._upstream.open()
        self._background.start("the ledger writer", self.ledger.run())
        self._background.start("the heartbeat of holds", self.holds.run())
        self._background.start("the count of workers", self._workers.run())
        self._background.start("the list of refusals", self._refusals.run())
        self._background.start("the follower of publications", self.follower.follow())
        self._background.start("the listener for pushes", self.follower.listen())
        self._background.start("the talk of workers about endpoints", self._worker_sync.run())
        self._background.start("the queues in front of pools", self.dispatcher.run())
        self._background.start("the watch over streams", self._watch.run())
        self._background.start("the event logs", self.event_log.writer.run())
        self._background.start("messages between workers", self._pubsub.run())
        self._background.start("the leases of runs", self.runner.run())
        decided = self.runner.go_on_with_decided()
        self._background.start("the runs that waited for people", decided)
        tune_gc()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The server has let streams finish; what they used must still be written down."""
        async with AsyncExitStack() as closing:
            closing.callback(self._database.close)
            closing.push_async_callback(self._statements.close)
            closing.push_async_callback(self.redis.aclose)
            closing.push_async_callback(self.counters.aclose)
            closing.push_async_callback(self._subscriber.aclose)
            closing.push_async_callback(self._shelf.aclose)
            closing.push_async_callback(self._upstream.close)
            closing.push_async_callback(self._events.aclose)
            closing.push_async_callback(self._tails.aclose)
            patience = self.shutdown.patience_left(settings.DRAIN_SECONDS)
            await self.runner.drain(seconds=patience)
            await self.event_log.close_readers()
            await self._background.stop()
            await self._sign_off()
            await self.ledger.close(patience=min(settings.DRAIN_SECONDS, LEDGER_TIMEOUT_SECONDS))

    async def _sign_off(self) -> None:
        """The others divide limits and places between those that are left."""
        try:
            await self._workers.leave()
        except (redis.RedisError, OSError) as error:
            log.debug(
                "worker registry: not removed at shutdown (error=%s)", error.__class__.__name__
            )

    async def _prepare_spool(self) -> None:
        try:
            await asyncio.to_thread(self._spool.prepare)
        except SpoolUnwritable as error:
            log.critical("spool: unwritable, nothing is served without PostgreSQL: %s", error)

    async def _ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query on a thread. Raises DatabaseAway if it fails or takes too long."""
        return await self._ask_within(DATABASE_TIMEOUT_SECONDS, partial(function, *args, **kwargs))

    async def _ask_within(self, seconds: float, function: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await self._database.run(function)
        except (*UNAVAILABLE, TimeoutError) as error:
            raise DatabaseAway from error

    async def _state(self, statement: Statement) -> Rows:
        """Have PostgreSQL do one statement. Raises DatabaseAway if it fails or takes too long."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
                return await self._statements.ask(statement)
        except (*postgres.UNAVAILABLE, TimeoutError) as error:
            raise DatabaseAway from error

    async def ask_database(self) -> None:
        """Raises DatabaseAway, also if it takes no writes."""
        await self._ask(ensure_writable)

    async def ask_redis(self) -> None:
        """Raises RedisError, also if it takes no writes."""
        await self.redis.set(READY_KEY, b"", ex=READY_KEY_SECONDS)

    async def _load_principal(self, public_id: str) -> Principal | None:
        try:
            return await self._ask(load_principal, public_id)
        except DatabaseAway as error:
            # In the words of its cache, which then goes on with the keys that it knows.
            raise KeysUnavailable from error

    async def _load_agents(self, tenant_id: int) -> Mapping[str, PublishedAgent]:
        try:
            return await self._ask(load_published_agents, tenant_id)
        except DatabaseAway as error:
            raise AgentsUnavailable from error

    async def _load_tools(self, tenant_id: int) -> Mapping[str, ToolSpec]:
        try:
            tools = await self._ask(load_tools_by_name, tenant_id)
        except DatabaseAway as error:
            raise AgentsUnavailable from error
        if any(tool.kind == "mcp" for tool in tools.values()):
            # Now, before the clock of a first call runs.
            await load_library()
        return tools

    def _forget_agents(self, tenant_id: int) -> None:
        self.gateway.catalog.forget_tenant(tenant_id)
        self._tools.forget_tenant(tenant_id)

    async def _load_revision(self, pin: Pin) -> PublishedAgent | None:
        try:
            return await self._ask(load_revision, pin)
        except DatabaseAway as error:
            raise AgentsUnavailable from error

    async def _load_limits(self, tenant_id: int) -> TenantLimits:
        try:
            return await self._ask(load_limits, tenant_id, now=datetime.now(UTC))
        except DatabaseAway as error:
            raise LimitsUnknown from error

    async def _load_counters(
        self, tenant_id: int, counters: Sequence[tuple[str, str]]
    ) -> Sequence[CounterState]:
        try:
            return await self._ask(load_counters, tenant_id, counters)
        except DatabaseAway as error:
            raise LimitsUnavailable from error

    async def _load_quotas(self, principal: Principal) -> Sequence[QuotaLine]:
        return await self._ask(load_quota_lines, principal, now=datetime.now(UTC))

    async def _load_usage(self, question: UsageQuestion) -> UsageReport:
        work = partial(load_usage, question, now=datetime.now(UTC))
        return await self._ask_within(REPORT_TIMEOUT_SECONDS, work)

    async def _load_fleet(self) -> None:
        self.fleet.swap(await self._ask(load_fleet))

    async def _poll(self, seen: int) -> Sequence[tuple[int, str]]:
        return await self._ask(revisions_after, seen)

    async def _append_usage(self, records: Sequence[UsageRecord]) -> Appended:
        try:
            return await self._ask_within(LEDGER_APPEND_SECONDS, partial(append_usage, records))
        except DatabaseAway as error:
            raise LedgerUnavailable from error

    async def _handle(self, topic: str) -> None:
        """Forget what was published anew. An unknown topic is a newer version's: ignored."""
        name, _, owner = topic.partition(":")
        keyring = self.gateway.keyring
        if name == FLEET:
            await self._load_fleet()
        elif name == "key":
            keyring.forget_key(owner)
        elif owner.isdecimal():
            handlers: Mapping[str, Callable[[int], None]] = {
                "principals": keyring.refresh_tenant,
                "suspended": keyring.forget_tenant,
                "limits": self._book.forget,
                "agents": self._forget_agents,
                "answers": self.gateway.answers.forget_tenant,
            }
            handlers.get(name, ignore_topic)(int(owner))


def ignore_topic(_: int) -> None:
    """It is a newer version's."""


def tune_gc() -> None:
    """Keep what was loaded at the start out of garbage collection: a tenth of a request's time."""
    gc.collect()
    gc.freeze()
    # A collection of 20,000 young objects takes 9 ms, in which nobody gets a first token.
    gc.set_threshold(5_000, 50, 50)
