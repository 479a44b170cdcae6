"""Budgets of quotas while Redis is unavailable, by the last state that this worker read."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tenants.admission.limits.checks import QuotaCheck
from tenants.admission.limits.messages import AdmitRequest, QuotaStatus
from tenants.errors import LimitsUnavailable

MIN_ROOM_REQUESTS = 1000
"""Minimum room of a quota, as a multiple of the request, while other workers may be using Redis."""
MAX_WINDOWS = 100_000


@dataclass(slots=True)
class WindowBudget:
    """The remaining amount of a window at Redis' last response, and the amount admitted since."""

    remaining: int
    admitted: int = 0


class OutageBudget:
    """Limits admissions without Redis to this worker's share of the remaining quota and the cap."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[int, str, str], WindowBudget] = OrderedDict()

    def record(self, tenant_id: int, quotas: Sequence[QuotaStatus]) -> None:
        """Store the state of quotas from Redis, which includes all admissions so far."""
        for quota in quotas:
            name = (tenant_id, quota.counter, quota.window)
            known = self._windows.get(name)
            if known is None:
                self._windows[name] = WindowBudget(quota.remaining)
            else:
                known.remaining, known.admitted = quota.remaining, 0
        while len(self._windows) > MAX_WINDOWS:
            self._windows.popitem(last=False)

    def admit(
        self, request: AdmitRequest, *, completion: int, share: float, is_certain: bool = True
    ) -> None:
        """Take the amounts of `request` from its quotas. Raises LimitsUnavailable, taking nothing.

        `is_certain`: Redis is unavailable to all workers. Otherwise it may admit requests of other
        workers at the same time, so quotas need room for MIN_ROOM_REQUESTS requests.
        """
        needs = [
            (self._known(request, quota), quota, amount)
            for quota, amount in amounts(request, completion=completion)
        ]
        for known, quota, amount in needs:
            budget = min(known.remaining, quota.outage_cap) * share
            has_room = known.remaining >= MIN_ROOM_REQUESTS * amount
            if known.admitted + amount > budget or not (is_certain or has_room):
                raise LimitsUnavailable
        for known, _, amount in needs:
            known.admitted += amount

    def correct(
        self, request: AdmitRequest, *, completion: int, prompt_used: int, completion_used: int
    ) -> None:
        """Replace the amounts of an admitted request, which has ended, by its usage."""
        for quota, amount in amounts(request, completion=completion):
            used = quota.amount(prompt=prompt_used, completion=completion_used)
            known = self._known(request, quota)
            known.admitted = max(0, known.admitted + used - amount)

    def _known(self, request: AdmitRequest, quota: QuotaCheck) -> WindowBudget:
        name = (request.checks.tenant_id, quota.counter, quota.window)
        # A window whose state is unknown may be used up to the outage cap.
        return self._windows.setdefault(name, WindowBudget(quota.outage_cap))


def amounts(request: AdmitRequest, *, completion: int) -> Iterator[tuple[QuotaCheck, int]]:
    """Yield the amount that a request takes from each hard quota."""
    for check in request.checks.scopes:
        for quota in check.quotas:
            if quota.hard:
                amount = quota.amount(prompt=request.prompt_tokens, completion=completion)
                yield quota, amount
