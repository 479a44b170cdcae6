"""The parts of one gateway worker, built once. `worker_lifecycle` opens and closes them."""

import random
from functools import partial
from pathlib import Path

from django.conf import settings

from agents.doors.base.gateway import Gateway
from agents.doors.base.open_sockets import OpenSockets
from agents.events.log import BLOCK_SECONDS, EventLog
from agents.events.pubsub import WorkerPubSub
from agents.events.replay import end_frame
from agents.nodes.placement import placement_name
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.catalog.tools import ToolCatalog
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.runner import Runner
from agents.runtime.queue.consumer import QueueConsumer
from agents.runtime.queue.sender import RunQueue
from agents.runtime.response_cache.cache import ResponseCache
from agents.runtime.response_cache.redis_store import RedisCacheStore
from agents.runtime.tools.dependencies import ToolDependencies
from agents.runtime.tools.kinds import tool_handlers
from agents.runtime.tools.local_kinds import local_tool_handlers
from agents.schema.json_types import Json
from agents.schema.routing.messages import MessageLimits
from agents.tenant_tasks.submission import TaskDependencies, TaskSubmission
from config.gateway.database.a2a_store import DatabaseA2aStore
from config.gateway.database.conversation_store import DatabaseConversations
from config.gateway.database.loaders import Loaders
from config.gateway.database.message_store import DatabaseMessages
from config.gateway.database.queries import GatewayDatabase
from config.gateway.database.run_store import DatabaseRunStore
from config.gateway.database.task_store import DatabaseTasks, DatabaseTaskStore
from config.gateway.graceful_shutdown import GracefulShutdown
from config.gateway.publications import Publications
from config.node.meter import NodeMeter
from config.node.options import gateway_announcement, options_of, read_labels
from config.node.placement_sync import PlacementSync
from config.node.registration import NodeRegistration, register_agent_node, register_gateway
from inference.engines.resolver import EngineResolver
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import FleetReference
from inference.fleet.worker_sync import WorkerStateSync
from inference.queueing.dispatcher import Dispatcher
from inference.relay.fallback import Fallbacks
from inference.relay.relay import Relay
from inference.relay.upstream import Upstream
from inference.relay.watchdog import Watchdog
from kernel.egress.client import configured_egress
from kernel.publishing.follower import Follower
from kernel.publishing.publish import CHANNEL
from kernel.storage.cache import LoadingCache
from kernel.storage.redis import connect_async
from tenants.admission.authentication import Keyring
from tenants.admission.decider import Decider
from tenants.admission.gate import Gate
from tenants.admission.holds import Holds
from tenants.admission.limits.cache import LimitsCache
from tenants.admission.redis_counters.counters import Counters
from tenants.admission.redis_counters.refusal_log import Refusals
from tenants.admission.redis_counters.worker_registry import WorkerRegistry
from tenants.admission.usage.spool_folder import FolderSpool
from tenants.admission.usage.writer import LedgerWriter

EVENTS_TIMEOUT_SECONDS = 1.0
RESPONSE_CACHE_TIMEOUT_SECONDS = 0.25
"""Timeout for reading the response cache; after it the model is called."""
USAGE_TTL_SECONDS = 5.0
"""Time for which a usage report is served from memory, because scripts request it in loops."""
MAX_CACHED_USAGE_REPORTS = 1000


class RedisClients:
    """The connections of a gateway worker to Redis, separated so that none delays another."""

    def __init__(self) -> None:
        self.limits = connect_async(settings.REDIS_LIMITS_URL)
        self.subscriber = connect_async(settings.REDIS_URL, timeout=None)
        # Not the server of limits: events are many, and admission must not wait for them.
        self.events = connect_async(settings.REDIS_URL, timeout=EVENTS_TIMEOUT_SECONDS)
        self.tails = connect_async(settings.REDIS_URL, timeout=BLOCK_SECONDS + 5)
        self.response_cache = connect_async(
            settings.REDIS_URL, timeout=RESPONSE_CACHE_TIMEOUT_SECONDS
        )


class GatewayWorker:
    """The components of a gateway worker. The constructor connects to nothing."""

    def __init__(self, *, is_agent_node: bool = False) -> None:
        """`is_agent_node`: the worker has no doors, and executes runs of the run queue."""
        self.is_agent_node = is_agent_node
        self.database = GatewayDatabase(statement_connections=settings.STATEMENT_POOL_SIZE)
        self.loaders = Loaders(self.database)
        self.redis = RedisClients()
        self.shutdown = GracefulShutdown(seconds=settings.LEAVE_SECONDS)
        self._build_admission()
        self._build_engines()
        self._build_runs()
        self.gateway = self._build_gateway()
        self.meter = NodeMeter(
            runs=self.runner,
            sockets=self.gateway.sockets,
            in_flight=self.in_flight,
            fleet=self.fleet,
            workers=self.workers,
            shutdown=self.shutdown,
        )
        self.registration = self._build_registration()
        self.placement = PlacementSync(self.database, name=self.registration.announced.name)
        self.publications = Publications(
            loaders=self.loaders,
            fleet=self.fleet,
            limits=self.limits,
            tools=self.tools,
            gateway=self.gateway,
        )
        self.follower = Follower(
            poll=self.loaders.topics_after,
            handle=self.publications.handle,
            redis=self.redis.subscriber,
            channel=CHANNEL,
        )

    def _build_admission(self) -> None:
        self.workers = WorkerRegistry(self.redis.limits)
        self.refusals = Refusals(self.redis.limits)
        self.counters = Counters(self.redis.limits, self.loaders.counters)
        self.holds = Holds(self.counters)
        self.spool = FolderSpool(Path(settings.SPOOL_DIR))
        self.ledger = LedgerWriter(
            self.loaders.append_usage,
            spool=self.spool,
            settled=self.holds.settled,
            spooled=self.holds.spooled,
        )
        self.limits = LimitsCache(self.loaders.limits)
        decider = Decider(
            counters=self.counters,
            workers=self.workers,
            refusals=self.refusals,
            settle=self.ledger.settle_now,
        )
        self._gate = Gate(
            limits_cache=self.limits,
            counters=self.counters,
            decider=decider,
            holds=self.holds,
            ledger=self.ledger,
        )
        self._keyring = Keyring(self.loaders.principal, peppers=settings.KEY_PEPPERS)

    def _build_engines(self) -> None:
        self.upstream = Upstream(
            connections=settings.UPSTREAM_CONNECTIONS,
            resolver=partial(EngineResolver, allow_loopback=settings.LOOPBACK_ENDPOINTS),
        )
        self.watchdog = Watchdog()
        self.in_flight = InFlight()
        self.fleet = FleetReference()
        self._rng = rng = random.Random()  # noqa: S311 - load balancing, not a secret
        self.balancer = EndpointBalancer(self.in_flight, rng=rng)
        relay = Relay(upstream=self.upstream, balancer=self.balancer, watch=self.watchdog, rng=rng)
        self.dispatcher = Dispatcher(
            relay,
            fleet=self.fleet,
            elsewhere=self.balancer.elsewhere,
            workers=lambda: self.workers.count,
        )
        self._opener = Fallbacks(self.dispatcher, balancer=self.balancer, budget=relay.budget)
        self.worker_sync = WorkerStateSync(
            self.redis.limits,
            self.balancer,
            name=self.workers.name,
            queues=self.dispatcher.waiting,
        )

    def _build_runs(self) -> None:
        self._conversations = DatabaseConversations(self.database, redis=self.redis.events)
        self._runs = DatabaseRunStore(self.database, conversations=self._conversations)
        self.pubsub = WorkerPubSub(self.redis.events, self.redis.subscriber)
        self.messages = DatabaseMessages(
            self.database,
            pubsub=self.pubsub,
            limits=MessageLimits(
                max_per_minute=settings.TENANT_MESSAGES_PER_MINUTE,
                max_hops=settings.MAX_MESSAGE_HOPS,
                max_queued_runs=settings.TENANT_QUEUED_RUNS,
            ),
        )
        self.event_log = EventLog(
            self.redis.events,
            self.redis.tails,
            find_end=self._find_end,
            ttl=settings.RUN_LOG_SECONDS,
        )
        self.tools = ToolCatalog(self.loaders.tools)
        self._tool_handlers = local_tool_handlers(configured_egress())
        self._agents = AgentCatalog(self.loaders.agents, self.loaders.revision)
        self._response_cache = ResponseCache(RedisCacheStore(self.redis.response_cache))
        self.run_dependencies = RunDependencies(
            worker=self.workers.name,
            gate=self._gate,
            relay=self._opener,
            catalog=self._agents,
            fleet=self.fleet,
            store=self._runs,
            log=self.event_log,
            pubsub=self.pubsub,
            tools=ToolDependencies(
                catalog=self.tools,
                handlers=partial(tool_handlers, self._tool_handlers, self.messages),
            ),
            response_cache=self._response_cache,
            is_agent_node=self.is_agent_node,
            may_execute=self._may_execute,
            count_nodes=lambda: self.registration.agent_nodes,
            max_queued_runs=settings.TENANT_QUEUED_RUNS,
            find_principal=self._keyring.find,
        )
        self.runner = Runner(self.run_dependencies)
        self.run_queue = RunQueue(self.run_dependencies, cancel=self.runner.cancel_for)
        self.queue_consumer = QueueConsumer(
            self.runner,
            self.run_dependencies,
            slots=settings.NODE_SLOTS,
            excluded=lambda: self.placement.excluded,
            is_draining=lambda: self.shutdown.has_started,
        )

    def _build_tasks(self) -> DatabaseTasks:
        store = DatabaseTaskStore(self.database)
        submission = TaskSubmission(
            TaskDependencies(
                store=store,
                runner=self.runner,
                run_queue=self.run_queue,
                catalog=self._agents,
                fleet=self.fleet,
                strategy=settings.TASK_STRATEGY,
                zone=settings.NODE_ZONE,
                rng=self._rng,
            )
        )
        return DatabaseTasks(self.database, submission=submission)

    def _build_gateway(self) -> Gateway:
        return Gateway(
            tasks=self._build_tasks(),
            messages=self.messages,
            tools=self.tools,
            tool_handlers=self._tool_handlers,
            a2a=DatabaseA2aStore(self.database),
            keyring=self._keyring,
            gate=self._gate,
            catalog=self._agents,
            conversations=self._conversations,
            fleet=self.fleet,
            relay=self._opener,
            runner=self.runner,
            run_queue=self.run_queue,
            runs=self._runs,
            watch=self.watchdog,
            quotas=self.loaders.quotas,
            redis=self.redis.limits,
            answers=self._response_cache,
            usage=LoadingCache(
                self.loaders.usage, ttl=USAGE_TTL_SECONDS, size=MAX_CACHED_USAGE_REPORTS
            ),
            max_body_bytes=settings.MAX_BODY_BYTES,
            public_url=settings.GATEWAY_URL,
            allowed_origins=frozenset(settings.ALLOWED_ORIGINS),
            allow_loopback_origins=settings.IS_LOCAL,
            sockets=OpenSockets(max_per_tenant=settings.TENANT_SOCKETS),
        )

    def _build_registration(self) -> NodeRegistration:
        if self.is_agent_node:
            return self._build_node_registration()
        announced = gateway_announcement(
            worker=self.workers.name,
            pod=settings.NODE_POD,
            zone=settings.NODE_ZONE,
            labels=read_labels(settings.NODE_LABELS),
            processes=settings.GATEWAY_WORKERS,
        )
        return NodeRegistration(
            announced,
            database=self.database,
            meter=self.meter,
            register=partial(register_gateway, self.database, announced),
        )

    def _build_node_registration(self) -> NodeRegistration:
        options = options_of(settings)
        announced = options.announcement(worker=self.workers.name, pod=settings.NODE_POD)
        return NodeRegistration(
            announced,
            database=self.database,
            meter=self.meter,
            register=partial(register_agent_node, self.database, announced, options.token),
            on_drain=self.queue_consumer.pause,
            on_drain_cancelled=self.queue_consumer.unpause,
        )

    def _may_execute(self, tenant_id: int, agent: str) -> bool:
        return placement_name(tenant_id, agent) not in self.placement.excluded

    async def _find_end(self, run_id: str) -> Json | None:
        run = await self._runs.load_ended(run_id)
        return None if run is None else end_frame(run)
