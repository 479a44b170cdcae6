"""Keeps this process registered as a node: registration, heartbeats, and the end."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from agents.nodes.announcement import NodeAnnouncement, ensure_registered, ensure_valid
from agents.nodes.statements import heartbeat_statement, register_statement, stop_statement
from config.gateway.database.queries import GatewayDatabase
from config.node.meter import NodeMeter
from kernel.errors import DatabaseUnavailable, PlatformError

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
REGISTER_TIMEOUT_SECONDS = 10.0

Register = Callable[[], Awaitable[None]]
OnDrain = Callable[[], None]


def ignore_drain() -> None:
    """Do nothing: operators cannot drain gateways."""


class NodeRegistration:
    """The row of this process in the list of nodes.

    A lost database costs only the freshness of the row: the process continues, and the next
    heartbeat that succeeds brings it up to date.
    """

    def __init__(
        self,
        announced: NodeAnnouncement,
        *,
        database: GatewayDatabase,
        meter: NodeMeter,
        register: Register,
        on_drain: OnDrain = ignore_drain,
        on_drain_cancelled: OnDrain = ignore_drain,
    ) -> None:
        """`on_drain` is called once when an operator requests a drain; `on_drain_cancelled` when
        the operator takes it back.
        """
        self.announced = announced
        self._database = database
        self._meter = meter
        self._register = register
        self._on_drain = on_drain
        self._on_drain_cancelled = on_drain_cancelled
        self.agent_nodes = 0
        """Number of agent nodes that were not down at the last heartbeat."""
        self._is_registered = False
        self._is_drained = False
        self._last_failure = ""

    async def register(self) -> None:
        """Register now. Raises the errors of the registration, and DatabaseUnavailable."""
        await self._register()
        self._is_registered = True
        log.info("node: registered (name=%s)", self.announced.name)

    async def run(self) -> None:
        """Register if that has not succeeded yet, and send heartbeats until cancelled."""
        while True:
            await self.beat()
            await self._meter.pause(HEARTBEAT_SECONDS)

    async def beat(self) -> None:
        """Send one heartbeat. A failure is logged, once until it changes."""
        try:
            if not self._is_registered:
                await self.register()
            await self._send()
            self._last_failure = ""
        except PlatformError as error:
            if isinstance(error, DatabaseUnavailable):
                self._meter.note_database_failure()
            if error.message != self._last_failure:
                self._last_failure = error.message
                log.warning(
                    "node: heartbeat failed, tried again (name=%s, error=%s): %s",
                    self.announced.name,
                    error.code,
                    error.message,
                )

    async def _send(self) -> None:
        statement = heartbeat_statement(self.announced.worker, self._meter.read())
        rows = await self._database.execute(statement)
        if not rows:
            # Deleted after a long silence, or another process has the name now.
            self._is_registered = False
            await self.register()
            rows = await self._database.execute(statement)
        for is_drain_requested, self.agent_nodes in rows:
            self._follow(is_drain_requested=is_drain_requested)

    def _follow(self, *, is_drain_requested: bool) -> None:
        if is_drain_requested == self._is_drained:
            return
        self._is_drained = is_drain_requested
        if is_drain_requested:
            log.info("node: drained by an operator (name=%s)", self.announced.name)
            self._on_drain()
        else:
            log.info("node: drain cancelled by an operator (name=%s)", self.announced.name)
            self._on_drain_cancelled()

    async def leave(self) -> None:
        """Record the end in order. Without PostgreSQL the row expires by itself."""
        if not self._is_registered:
            return
        self._is_registered = False
        try:
            await self._database.execute(stop_statement(self.announced.worker))
        except DatabaseUnavailable as error:
            log.debug("node: end not recorded (name=%s, error=%s)", self.announced.name, error.code)


async def register_gateway(database: GatewayDatabase, announced: NodeAnnouncement) -> None:
    """Register a worker of a gateway, without a token. Raises InvalidNode and NodeNameTaken."""
    ensure_valid(announced)
    ensure_registered(announced, await database.execute(register_statement(announced)))


async def register_agent_node(
    database: GatewayDatabase, announced: NodeAnnouncement, token: str
) -> None:
    """Register an agent node. Raises what `agents.nodes.registration` raises."""
    from agents.nodes.registration import register_agent_node as register

    work = partial(register, announced, token)
    await database.query_within(REGISTER_TIMEOUT_SECONDS, work)
