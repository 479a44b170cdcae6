"""What quotas still allow while Redis is away, by what this worker last knew of them."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tenants.admission.limits.checks import QuotaCheck
from tenants.admission.limits.messages import AdmitRequest, QuotaStatus
from tenants.errors import LimitsUnavailable

PLENTY = 1000
"""Requests like this one for which a quota must have enough left."""
MAX_WINDOWS = 100_000


@dataclass(slots=True)
class Known:
    """One quota window: what was left when Redis was last heard, and what was admitted since."""

    remaining: int
    admitted: int = 0


class OutageBudget:
    """Bounds what this worker admits without Redis: its share of what is left, and of a cap."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[int, str, str], Known] = OrderedDict()

    def heard(self, tenant_id: int, standings: Sequence[QuotaStatus]) -> None:
        """Redis told how quotas stand; what was admitted without it is among that now."""
        for standing in standings:
            name = (tenant_id, standing.counter, standing.window)
            known = self._windows.get(name)
            if known is None:
                self._windows[name] = Known(standing.remaining)
            else:
                known.remaining, known.admitted = standing.remaining, 0
        while len(self._windows) > MAX_WINDOWS:
            self._windows.popitem(last=False)

    def admit(
        self, ask: AdmitRequest, *, completion: int, share: float, is_away: bool = True
    ) -> None:
        """Take what `ask` needs. Raises LimitsUnavailable, and then has taken nothing.

        Unless it is certain that Redis is away, others are admitted by it at the same time: then
        only quotas that have plenty left are drawn on.
        """
        needs = [
            (self._known(ask, quota), quota, amount)
            for quota, amount in amounts(ask, completion=completion)
        ]
        for known, quota, amount in needs:
            most = min(known.remaining, quota.outage_cap) * share
            has_plenty = known.remaining >= PLENTY * amount
            if known.admitted + amount > most or not (is_away or has_plenty):
                raise LimitsUnavailable
        for known, _, amount in needs:
            known.admitted += amount

    def correct(
        self, ask: AdmitRequest, *, completion: int, prompt_used: int, completion_used: int
    ) -> None:
        """An admitted request has ended: what it did not use can be admitted again."""
        for quota, amount in amounts(ask, completion=completion):
            used = quota.amount(prompt=prompt_used, completion=completion_used)
            known = self._known(ask, quota)
            known.admitted = max(0, known.admitted + used - amount)

    def _known(self, ask: AdmitRequest, quota: QuotaCheck) -> Known:
        name = (ask.checks.tenant_id, quota.counter, quota.window)
        # A window that was never heard of may have all that an outage may use, and no more.
        return self._windows.setdefault(name, Known(quota.outage_cap))


def amounts(ask: AdmitRequest, *, completion: int) -> Iterator[tuple[QuotaCheck, int]]:
    """What each hard quota is asked for."""
    for check in ask.checks.scopes:
        for quota in check.quotas:
            if quota.hard:
                amount = quota.amount(prompt=ask.prompt_tokens, completion=completion)
                yield quota, amount
