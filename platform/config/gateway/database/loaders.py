"""The queries with which the caches and the ledger of a gateway worker use PostgreSQL.

Each cache expects the error of its own context, so that it can continue with stale values.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

from agents.errors import AgentsUnavailable
from agents.runtime.tools.mcp.calling import load_library
from agents.schema.tool_spec import ToolSpec
from agents.selectors import load_published_agents, load_revision
from agents.tool_library.store import load_tools_by_name
from config.gateway.database.queries import GatewayDatabase
from inference.fleet.snapshot import Fleet
from inference.publishing import load_fleet
from kernel.errors import DatabaseUnavailable, Overloaded
from kernel.publishing.publish import latest_revision, revisions_after
from kernel.storage.database import ensure_writable
from tenants.admission.limits.rules import TenantLimits
from tenants.admission.principal import Principal
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.writer import Appended, LedgerUnavailable
from tenants.errors import KeysUnavailable, LimitsUnavailable, LimitsUnknown
from tenants.ledger import append_usage, load_counters
from tenants.ledger.usage_queries import load_usage
from tenants.ledger.usage_report import QuotaLine, UsageQuestion, UsageReport
from tenants.limits.effective import load_limits
from tenants.limits.quota_status import load_quota_lines
from tenants.selectors import load_principal

P = ParamSpec("P")
T = TypeVar("T")

REPORT_TIMEOUT_SECONDS = 3.0
"""Timeout of a usage report, which sums up many rows."""
APPEND_TIMEOUT_SECONDS = 3.0
"""Timeout of a batch of usage records. No client waits for it, and it may wait for locks."""


class Loaders:
    """The queries of a gateway worker. Those without an error of their own raise
    DatabaseUnavailable.
    """

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database
        self.principal = loader(database, load_principal, unavailable=KeysUnavailable)
        self.agents = loader(database, load_published_agents, unavailable=AgentsUnavailable)
        self.revision = loader(database, load_revision, unavailable=AgentsUnavailable)
        self.counters = loader(database, load_counters, unavailable=LimitsUnavailable)
        self.limits = loader(database, current_limits, unavailable=LimitsUnknown)
        self._tools = loader(database, load_tools_by_name, unavailable=AgentsUnavailable)

    async def tools(self, tenant_id: int) -> Mapping[str, ToolSpec]:
        """Return a tenant's tools by name. Raises AgentsUnavailable."""
        tools = await self._tools(tenant_id)
        if any(tool.kind == "mcp" for tool in tools.values()):
            # The import takes long, and must not count towards the timeout of the first call.
            await load_library()
        return tools

    async def append_usage(self, records: Sequence[UsageRecord]) -> Appended:
        """Append a batch to the ledger. Raises LedgerUnavailable."""
        try:
            return await self._database.query_within(
                APPEND_TIMEOUT_SECONDS, partial(append_usage, records)
            )
        except DatabaseUnavailable as error:
            raise LedgerUnavailable from error

    async def quotas(self, principal: Principal) -> Sequence[QuotaLine]:
        return await self._database.query(load_quota_lines, principal, now=datetime.now(UTC))

    async def usage(self, question: UsageQuestion) -> UsageReport:
        work = partial(load_usage, question, now=datetime.now(UTC))
        return await self._database.query_within(REPORT_TIMEOUT_SECONDS, work)

    async def fleet(self) -> Fleet:
        return await self._database.query(load_fleet)

    async def latest_revision(self) -> int:
        """Return the newest published revision."""
        return await self._database.query(latest_revision)

    async def topics_after(self, revision: int) -> Sequence[tuple[int, str]]:
        """Return the revisions published after `revision`, with their topics."""
        return await self._database.query(revisions_after, revision)

    async def ensure_writable(self) -> None:
        """Raises DatabaseUnavailable also if PostgreSQL is read-only."""
        await self._database.query(ensure_writable)


def loader(
    database: GatewayDatabase, function: Callable[P, T], *, unavailable: type[Overloaded]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that raises `unavailable` during an outage of PostgreSQL."""

    async def load(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await database.query(function, *args, **kwargs)
        except DatabaseUnavailable as error:
            raise unavailable from error

    return load


def current_limits(tenant_id: int) -> TenantLimits:
    return load_limits(tenant_id, now=datetime.now(UTC))
