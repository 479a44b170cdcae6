"""Reloads or drops cached values of a gateway worker when the console publishes a change."""

from collections.abc import Callable, Mapping

from agents.doors.base.gateway import Gateway
from agents.runtime.catalog.tools import ToolCatalog
from config.gateway.database.loaders import Loaders
from inference.fleet.snapshot import FleetReference
from inference.topics import FLEET
from tenants.admission.limits.cache import LimitsCache


class Publications:
    """Handles the topics that a `Follower` reads."""

    def __init__(
        self,
        *,
        loaders: Loaders,
        fleet: FleetReference,
        limits: LimitsCache,
        tools: ToolCatalog,
        gateway: Gateway,
    ) -> None:
        self._loaders = loaders
        self._fleet = fleet
        self._tools = tools
        self._gateway = gateway
        self._keyring = gateway.keyring
        self._of_tenant: Mapping[str, Callable[[int], None]] = {
            "principals": self._keyring.refresh_tenant,
            "suspended": self._keyring.forget_tenant,
            "limits": limits.forget,
            "agents": self._forget_agents,
            "answers": gateway.answers.forget_tenant,
        }

    async def handle(self, topic: str) -> None:
        """Apply one topic. An unknown topic of another version is ignored."""
        name, _, owner = topic.partition(":")
        if name == FLEET:
            await self.load_fleet()
        elif name == "key":
            self._keyring.forget_key(owner)
        elif name in self._of_tenant and owner.isdecimal():
            self._of_tenant[name](int(owner))

    async def load_fleet(self) -> None:
        """Load a new snapshot of routes and endpoints. Raises DatabaseUnavailable."""
        self._fleet.swap(await self._loaders.fleet())

    def _forget_agents(self, tenant_id: int) -> None:
        self._gateway.catalog.forget_tenant(tenant_id)
        self._tools.forget_tenant(tenant_id)
