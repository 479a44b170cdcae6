"""The limits of each tenant, as a gateway worker knows them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kernel.cache import LoadingCache
from tenants.admission.checks import Checks
from tenants.admission.limits import TenantLimits
from tenants.admission.policy import Caller, checks_for
from tenants.errors import LimitsUnknown

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
MOST_KINDS = 10_000
"""Kinds of requests of one tenant that are kept worked out."""

LoadLimits = Callable[[int], Awaitable[TenantLimits]]


@dataclass(slots=True)
class Page:
    """One tenant's limits, and what was worked out from them."""

    limits: TenantLimits
    checks: dict[Caller, Checks] = field(default_factory=dict)

    def checks_for(self, caller: Caller, *, now: float) -> Checks:
        known = self.checks.get(caller)
        if known is not None and now < known.valid_until:
            return known
        if len(self.checks) >= MOST_KINDS:
            self.checks.clear()
        checks = self.checks[caller] = checks_for(self.limits, caller, now=now)
        return checks


class LimitBook:
    """Answers which checks a request must pass; forgets a tenant when its limits change."""

    def __init__(self, load: LoadLimits) -> None:
        async def open_page(tenant_id: int) -> Page:
            return Page(await load(tenant_id))

        self._pages = LoadingCache(
            open_page, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(LimitsUnknown,)
        )

    async def of_tenant(self, tenant_id: int) -> Page:
        """The tenant's limits. Raises LimitsUnknown."""
        return await self._pages.get(tenant_id)

    def forget(self, tenant_id: int) -> None:
        """Read this tenant's limits anew; 0 means every tenant's.

        While they cannot be read, those that are known stay in force.
        """
        self._pages.mark_outdated(lambda key, _: tenant_id in {0, key})
