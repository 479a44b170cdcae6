"""A cache of the limits of each tenant in a gateway worker."""

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
"""Maximum number of cached checks of one tenant."""

LoadLimits = Callable[[int], Awaitable[TenantLimits]]


@dataclass(slots=True)
class CachedLimits:
    """The limits of one tenant, and the checks computed from them."""

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
    """Caches limits by tenant, and reloads them after a publication."""

    def __init__(self, load: LoadLimits) -> None:
        async def load_cached(tenant_id: int) -> CachedLimits:
            return CachedLimits(await load(tenant_id))

        self._limits = LoadingCache(
            load_cached, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(LimitsUnknown,)
        )

    async def of_tenant(self, tenant_id: int) -> CachedLimits:
        """Return the tenant's limits. Raises LimitsUnknown."""
        return await self._limits.get(tenant_id)

    def forget(self, tenant_id: int) -> None:
        """Reload the limits of a tenant, or of all tenants for 0.

        The cached limits stay in force until the new ones are loaded.
        """
        self._limits.mark_outdated(lambda key, _: tenant_id in {0, key})
