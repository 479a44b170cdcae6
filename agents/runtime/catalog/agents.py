"""The published agents of each tenant, cached in a gateway worker."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from agents.errors import AgentsUnavailable
from agents.schema.routing.capabilities import CapabilitySchemas
from agents.schema.routing.placement import ANYWHERE, Placement
from agents.schema.run_limits import USUAL_LIMITS, RunLimits
from kernel.storage.cache import LoadingCache

__all__ = ["AgentCatalog", "PublishedAgent", "RunLimits"]

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
MAX_PINNED_REVISIONS = 2_000
"""The limit of cached revisions that were requested by number."""
MAX_NUMBER_DIGITS = 9


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
    latest: int = 0
    """The highest revision number of the agent."""
    candidate: Self | None = None
    """The revision of a rollout, which serves `share` per cent of conversations."""
    share: int = 0
    is_paused: bool = False
    """Whether the agent accepts no new requests. This and what follows are of the agent, not of
    the revision."""
    capabilities: Mapping[str, CapabilitySchemas] = field(default_factory=dict)
    placement: Placement = ANYWHERE
    description: str = ""
    offered_over_mcp: bool = False
    offered_over_a2a: bool = False


class Pin(NamedTuple):
    """One revision of one agent, requested as `model: "helper@7"`."""

    tenant_id: int
    slug: str
    number: int


LoadAgents = Callable[[int], Awaitable[Mapping[str, PublishedAgent]]]
LoadRevision = Callable[[Pin], Awaitable[PublishedAgent | None]]


class AgentCatalog:
    """Published agents by tenant, and the revisions that were requested by number.

    A tenant's entries are marked outdated when its agents are published again.
    """

    def __init__(
        self,
        load: LoadAgents,
        load_revision: LoadRevision,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agents = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(AgentsUnavailable,), clock=clock
        )
        self._pinned = LoadingCache(
            load_revision,
            ttl=FRESH_SECONDS,
            stale=STALE_SECONDS,
            outages=(AgentsUnavailable,),
            size=MAX_PINNED_REVISIONS,
            clock=clock,
        )

    async def of_tenant(self, tenant_id: int) -> Mapping[str, PublishedAgent]:
        """Return the tenant's agents by slug. Raises AgentsUnavailable."""
        return await self._agents.get(tenant_id)

    async def pinned(self, tenant_id: int, model: str) -> PublishedAgent | None:
        """Return the revision that `model` names as `slug@number`, or None.

        Raises AgentsUnavailable.
        """
        slug, _, number = model.rpartition("@")
        agent = (await self.of_tenant(tenant_id)).get(slug)
        if agent is None or not is_number(number) or not 1 <= int(number) <= agent.latest:
            # Impossible numbers are not looked up: guessing must not cost queries.
            return None
        if int(number) == agent.revision:
            return agent
        return await self._pinned.get(Pin(tenant_id, slug, int(number)))

    def forget_tenant(self, tenant_id: int) -> None:
        self._agents.mark_outdated(lambda key, _: key == tenant_id)
        self._pinned.mark_outdated(lambda key, _: key.tenant_id == tenant_id)


def is_number(text: str) -> bool:
    """Return whether a text is a revision number in its canonical form: `7`, not `07` or `+7`."""
    return (
        len(text) <= MAX_NUMBER_DIGITS
        and text.isascii()
        and text.isdecimal()
        and not text.startswith("0")
    )
