"""The enabled tools of each tenant, cached in a gateway worker."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from agents.errors import AgentsUnavailable
from agents.schema.tool_spec import ToolSpec
from kernel.storage.cache import LoadingCache

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60

LoadTools = Callable[[int], Awaitable[Mapping[str, ToolSpec]]]


class ToolCatalog:
    """Enabled tools by tenant. A tenant's are marked outdated when one of them changes."""

    def __init__(self, load: LoadTools) -> None:
        self._tools = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(AgentsUnavailable,)
        )

    async def named(self, tenant_id: int, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Return those of `names` that exist and are enabled, in that order.

        Raises AgentsUnavailable.
        """
        wanted = tuple(names)
        if not wanted:
            return ()
        tools = await self._tools.get(tenant_id)
        return tuple(tools[name] for name in wanted if name in tools)

    async def offered_over_mcp(self, tenant_id: int) -> tuple[ToolSpec, ...]:
        """Return the tools that MCP clients may call. Raises AgentsUnavailable."""
        tools = await self._tools.get(tenant_id)
        return tuple(tool for tool in tools.values() if tool.offered_over_mcp)

    def forget_tenant(self, tenant_id: int) -> None:
        self._tools.mark_outdated(lambda key, _: key == tenant_id)
