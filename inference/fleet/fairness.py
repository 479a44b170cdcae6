"""A virtual token counter for each tenant of a pool. Pure.

Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024. A tenant's counter is
the service that it received, divided by its weight; the tenant with the lowest is served next.
"""

from collections.abc import Container
from math import inf

COMPLETION_COST = 2
"""Cost of a completion token relative to a prompt token, which engines process faster."""
FIRST_PACE = 1000.0
MIN_PACE = 1.0
"""Minimum pace in virtual tokens per second."""
SMOOTHING = 0.1
NONE_WAITING = inf
"""The lowest counter if no request waits."""


def cost_of(*, prompt_tokens: int, completion_tokens: int) -> int:
    """Return the cost of a request in prompt tokens."""
    return prompt_tokens + COMPLETION_COST * completion_tokens


class TenantServiceCounter:
    """The service of one tenant: estimated costs of running requests, actual costs of others."""

    __slots__ = ("_base", "_pending", "_served", "running", "tenant_id", "weight")

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.weight = 1
        self.running = 0
        self._served = 0.0
        self._pending = 0.0
        self._base = 0.0

    @property
    def value(self) -> float:
        """Service divided by weight, including the estimated cost of running requests."""
        return self._served + self._pending

    @property
    def served(self) -> float:
        """Service divided by weight, of requests that have ended."""
        return self._served

    def raise_to(self, floor: float) -> None:
        """Raise the counter to `floor` when the tenant becomes active: idle time is no credit."""
        self._base = floor
        self._keep_to_base()

    def charge(self, cost: float) -> float:
        """Add the cost of a request that starts. Returns its share of the counter, for `end`."""
        share = cost / self.weight
        self.running += 1
        self._pending += share
        return share

    def end(self, share: float) -> None:
        """Count an ended request at its estimated cost, until `correct` is called."""
        self.running -= 1
        self._pending = self._pending - share if self.running else 0.0
        self._served += share

    def correct(self, share: float, cost: float) -> None:
        """Replace the estimated cost of an ended request by its actual cost."""
        self._served += cost / self.weight - share
        # An estimate from before `raise_to` earns no credit.
        self._keep_to_base()

    def _keep_to_base(self) -> None:
        self._served += max(0.0, self._base - self.value)


class TenantServiceCounters:
    """The counters of the tenants of one pool."""

    def __init__(self) -> None:
        self._counters: dict[int, TenantServiceCounter] = {}
        self._furthest = 0.0
        self._furthest_before = 0.0
        self._pace = FIRST_PACE

    def __len__(self) -> int:
        return len(self._counters)

    def of(self, tenant_id: int, *, weight: int) -> TenantServiceCounter:
        """Return the counter of a tenant, with its weight set."""
        counter = self._counters.get(tenant_id)
        if counter is None:
            counter = self._counters[tenant_id] = TenantServiceCounter(tenant_id)
        counter.weight = max(1, weight)
        return counter

    def activate(self, counter: TenantServiceCounter, *, min_counter: float) -> None:
        """Raise the counter of a tenant that had no queued request.

        `min_counter` is the lowest counter of the queue, or NONE_WAITING. Estimated service raises
        no counter.
        """
        counter.raise_to(min(self._furthest, min_counter))

    def correct(self, counter: TenantServiceCounter, share: float, cost: float) -> None:
        counter.correct(share, cost)
        self._furthest = max(self._furthest, counter.served)

    def lead_seconds(self, counter: TenantServiceCounter) -> float:
        """Return the estimated seconds for which other tenants are served before this one."""
        return (counter.value - self._furthest) / self._pace

    def tick(self, *, seconds: float, waiting: Container[int], min_counter: float) -> None:
        """Update the pace after `seconds`, and delete counters of idle tenants.

        `waiting` has the tenants with queued requests; `min_counter` as for `activate`.
        """
        progress, self._furthest_before = self._furthest - self._furthest_before, self._furthest
        if progress:
            pace = self._pace + SMOOTHING * (progress / seconds - self._pace)
            self._pace = max(MIN_PACE, pace)
        floor = min(self._furthest, min_counter)
        for counter in tuple(self._counters.values()):
            is_idle = not counter.running and counter.tenant_id not in waiting
            # `activate` would raise it to at least this value.
            if is_idle and counter.served <= floor:
                del self._counters[counter.tenant_id]
