"""The agents of each tenant, as a gateway worker knows them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.errors import AgentsUnavailable
from agents.runtime.limits import USUAL_LIMITS, RunLimits
from kernel.cache import LoadingCache

__all__ = ["AgentCatalog", "PublishedAgent", "RunLimits"]

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAgent:
    """The revision of an agent that is served."""

    slug: str
    name: str
    revision: int
    instructions: str
    route: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    limits: RunLimits = USUAL_LIMITS
    busy_policy: str = ""
    response_cache: str = "off"
    cache_seconds: int = 3600
    overflow: str = "drop"
    created: int = 0
    """Seconds since 1970."""


LoadAgents = Callable[[int], Awaitable[Mapping[str, PublishedAgent]]]


class AgentCatalog:
    """Published agents by tenant; forgets a tenant's when they are published anew."""

    def __init__(self, load: LoadAgents) -> None:
        self._agents = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(AgentsUnavailable,)
        )

    async def of_tenant(self, tenant_id: int) -> Mapping[str, PublishedAgent]:
        """The tenant's agents by slug. Raises AgentsUnavailable."""
        return await self._agents.get(tenant_id)

    def forget_tenant(self, tenant_id: int) -> None:
        self._agents.invalidate(lambda key, _: key == tenant_id)
