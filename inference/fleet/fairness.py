"""Who has received how much of a pool: a virtual token counter for each tenant. Pure.

Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024. A tenant's counter is
the service that it received, divided by its weight; whoever has the least is served next.
"""

from collections.abc import Container
from math import inf

COMPLETION_COST = 2
"""What a token of an answer costs, beside one of a prompt: engines read faster than they write."""
FIRST_PACE = 1000.0
SLOWEST_PACE = 1.0
"""Virtual tokens a second."""
SMOOTHING = 0.1
NOBODY = inf
"""The lowest counter where no request waits."""


def cost_of(*, prompt_tokens: int, completion_tokens: int) -> int:
    """The service in a request, in tokens of a prompt."""
    return prompt_tokens + COMPLETION_COST * completion_tokens


class TenantServiceCounter:
    """What one tenant received. Costs are expected at first, and corrected when they are known."""

    __slots__ = ("_base", "_pending", "_served", "running", "tenant_id", "weight")

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.weight = 1
        self.running = 0
        self._served = 0.0
        self._pending = 0.0
        self._base = 0.0

    @property
    def counter(self) -> float:
        """Service per weight, with what running requests are expected to take."""
        return self._served + self._pending

    @property
    def served(self) -> float:
        """The same for requests that have ended."""
        return self._served

    def raise_to(self, floor: float) -> None:
        """It becomes active where others are at `floor` already: idle time earns no credit."""
        self._base = floor
        self._keep_to_base()

    def charge(self, cost: float) -> float:
        """A request begins. Returns its share of the counter, which `end` takes back."""
        share = cost / self.weight
        self.running += 1
        self._pending += share
        return share

    def end(self, share: float) -> None:
        """It has ended, and has cost what was expected as long as nobody says otherwise."""
        self.running -= 1
        self._pending = self._pending - share if self.running else 0.0
        self._served += share

    def correct(self, share: float, cost: float) -> None:
        """It has cost something else."""
        self._served += cost / self.weight - share
        # What was expected before the lift was a part of what was lifted: no credit from that.
        self._keep_to_base()

    def _keep_to_base(self) -> None:
        self._served += max(0.0, self._base - self.counter)


class TenantServiceCounters:
    """Every tenant's of one pool."""

    def __init__(self) -> None:
        self._accounts: dict[int, TenantServiceCounter] = {}
        self._furthest = 0.0
        self._furthest_before = 0.0
        self._pace = FIRST_PACE

    def __len__(self) -> int:
        return len(self._accounts)

    def of(self, tenant_id: int, *, weight: int) -> TenantServiceCounter:
        """The tenant's; from now on with this weight."""
        account = self._accounts.get(tenant_id)
        if account is None:
            account = self._accounts[tenant_id] = TenantServiceCounter(tenant_id)
        account.weight = max(1, weight)
        return account

    def activate(self, account: TenantServiceCounter, *, least: float) -> None:
        """It had nothing waiting. `least` is the smallest counter of those that wait, or NOBODY.

        Service that is only expected raises no counter: expectations can be wrong.
        """
        account.raise_to(min(self._furthest, least))

    def correct(self, account: TenantServiceCounter, share: float, cost: float) -> None:
        account.correct(share, cost)
        self._furthest = max(self._furthest, account.served)

    def lead_seconds(self, account: TenantServiceCounter) -> float:
        """Seconds by which others' turns come before the tenant's next, if they want theirs."""
        return (account.counter - self._furthest) / self._pace

    def look(self, *, seconds: float, waiting: Container[int], least: float) -> None:
        """Called every so many `seconds`: learn the pace, and forget whom it changes nothing for.

        `waiting` are the tenants that wait, `least` as for `activate`.
        """
        progress, self._furthest_before = self._furthest - self._furthest_before, self._furthest
        if progress:
            pace = self._pace + SMOOTHING * (progress / seconds - self._pace)
            self._pace = max(SLOWEST_PACE, pace)
        floor = min(self._furthest, least)
        for account in tuple(self._accounts.values()):
            is_idle = not account.running and account.tenant_id not in waiting
            # It would be lifted at least as high when it comes back.
            if is_idle and account.served <= floor:
                del self._accounts[account.tenant_id]
