"""The limits of each tenant, as a gateway worker knows them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kernel.storage.cache import LoadingCache
from tenants.admission.limits.checks import Checks
from tenants.admission.limits.compile import Caller, checks_for
from tenants.admission.limits.rules import TenantLimits
from tenants.errors import LimitsUnknown

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
MAX_REQUEST_KINDS = 10_000
"""Kinds of requests of one tenant that are kept worked out."""

LoadLimits = Callable[[int], Awaitable[TenantLimits]]


@dataclass(slots=True)
class CachedLimits:
    """One tenant's limits, and what was worked out from them."""

    limits: TenantLimits
    checks: dict[Caller, Checks] = field(default_factory=dict)

    def checks_for(self, caller: Caller, *, now: float) -> Checks:
        known = self.checks.get(caller)
        if known is not None and now < known.valid_until:
            return known
        if len(self.checks) >= MAX_REQUEST_KINDS:
            self.checks.clear()
        checks = self.checks[caller] = checks_for(self.limits, caller, now=now)
        return checks


class LimitsCache:
    """Answers which checks a request must pass; forgets a tenant when its limits change."""

    def __init__(self, load: LoadLimits) -> None:
        async def open_page(tenant_id: int) -> CachedLimits:
            return CachedLimits(await load(tenant_id))

        self._pages = LoadingCache(
            open_page, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(LimitsUnknown,)
        )

    async def of_tenant(self, tenant_id: int) -> CachedLimits:
        """The tenant's limits. Raises LimitsUnknown."""
        return await self._pages.get(tenant_id)

    def forget(self, tenant_id: int) -> None:
        """Read this tenant's limits anew; 0 means every tenant's.

        While they cannot be read, those that are known stay in force.
        """
        self._pages.mark_outdated(lambda key, _: tenant_id in {0, key})
