"""The agents of each tenant, as a gateway worker knows them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from agents.errors import AgentsUnavailable
from agents.schema.run_limits import USUAL_LIMITS, RunLimits
from kernel.storage.cache import LoadingCache

__all__ = ["AgentCatalog", "PublishedAgent", "RunLimits"]

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
MAX_PINNED_REVISIONS = 2_000
"""Earlier revisions that a worker keeps in mind."""
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
    """The highest number that a revision of this agent has."""
    candidate: Self | None = None
    """The revision that serves `share` per cent of conversations instead, in a rollout."""
    share: int = 0


class Pin(NamedTuple):
    """One revision of one agent, as `model: "helper@7"` names it."""

    tenant_id: int
    slug: str
    number: int


LoadAgents = Callable[[int], Awaitable[Mapping[str, PublishedAgent]]]
LoadRevision = Callable[[Pin], Awaitable[PublishedAgent | None]]


class AgentCatalog:
    """Published agents by tenant, and the revisions that somebody asked for by number.

    Forgets a tenant's when they are published anew.
    """

    def __init__(self, load: LoadAgents, load_revision: LoadRevision) -> None:
        self._agents = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(AgentsUnavailable,)
        )
        self._pinned = LoadingCache(
            load_revision,
            ttl=FRESH_SECONDS,
            stale=STALE_SECONDS,
            outages=(AgentsUnavailable,),
            size=MAX_PINNED_REVISIONS,
        )

    async def of_tenant(self, tenant_id: int) -> Mapping[str, PublishedAgent]:
        """The tenant's agents by slug. Raises AgentsUnavailable."""
        return await self._agents.get(tenant_id)

    async def pinned(self, tenant_id: int, model: str) -> PublishedAgent | None:
        """The revision that `model` names as `slug@number`; None if it names none of the tenant's.

        Raises AgentsUnavailable.
        """
        slug, _, number = model.rpartition("@")
        agent = (await self.of_tenant(tenant_id)).get(slug)
        if agent is None or not is_number(number) or not 1 <= int(number) <= agent.latest:
            # Numbers that cannot be are not asked for: guessing must not cost queries.
            return None
        if int(number) == agent.revision:
            return agent
        return await self._pinned.get(Pin(tenant_id, slug, int(number)))

    def forget_tenant(self, tenant_id: int) -> None:
        self._agents.mark_outdated(lambda key, _: key == tenant_id)
        self._pinned.mark_outdated(lambda key, _: key.tenant_id == tenant_id)


def is_number(text: str) -> bool:
    """Whether it is written as we write numbers of revisions: `7`, not `07` or `+7`."""
    return (
        len(text) <= MAX_NUMBER_DIGITS
        and text.isascii()
        and text.isdecimal()
        and not text.startswith("0")
    )
