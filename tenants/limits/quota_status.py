"""The state of the quotas that count the requests of one caller, from PostgreSQL."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.rules import QuotaRule, TenantLimits, counter_name
from tenants.admission.principal import Principal
from tenants.ledger import load_counters
from tenants.ledger.usage_report import QuotaLine
from tenants.limits.effective import load_limits
from tenants.windows import Window, window_at

OWNERS = {"tenant": "this tenant", "key": "this API key", "member": "this member"}

Counted = tuple[QuotaRule, str, Window]


def load_quota_lines(principal: Principal, *, now: datetime) -> list[QuotaLine]:
    """Return the quotas of the caller's tenant, key and member in their present windows.

    Quotas in shadow mode are left out. Raises LimitsUnknown or LimitsUnavailable in an outage.
    """
    limits = load_limits(principal.tenant_id, now=now)
    counted = [each for each in counters_of(limits, principal, now=now) if not each[0].shadow]
    names = [(counter, window.id) for _, counter, window in counted]
    states = load_counters(principal.tenant_id, names)
    return [as_line(*each, state) for each, state in zip(counted, states, strict=True)]


def counters_of(limits: TenantLimits, principal: Principal, *, now: datetime) -> Iterator[Counted]:
    """Yield each quota that counts requests of the caller, with its counter and window."""
    for rule in applicable(limits.quotas, principal):
        owner_id = {"key": principal.counted_as, "member": principal.member_id}.get(rule.per)
        owner = rule.per if owner_id is None else f"{rule.per}:{owner_id}"
        counter = counter_name(rule.scope(owner), rule.unit)
        yield rule, counter, window_at(now, rule.calendar, pinned=rule.pinned)


def applicable(rules: Sequence[QuotaRule], principal: Principal) -> list[QuotaRule]:
    """Return one rule for each slot: an override for this caller, else the rule for all."""
    chosen: dict[tuple[str, ...], QuotaRule] = {}
    for rule in sorted(rules, key=lambda rule: rule.key_id is None and rule.member_id is None):
        mine = {"key": principal.counted_as, "member": principal.member_id}.get(rule.per, 0)
        only = rule.key_id if rule.per == "key" else rule.member_id
        if mine is not None and only in {None, mine}:
            slot = (rule.scope(rule.per), rule.unit, rule.calendar.period)
            chosen.setdefault(slot, rule)
    return list(chosen.values())


def as_line(rule: QuotaRule, _: str, window: Window, state: CounterState) -> QuotaLine:
    return QuotaLine(
        scope=rule.scope(OWNERS[rule.per]),
        unit=rule.unit,
        period=rule.calendar.period,
        starts_at=window.start,
        ends_at=window.end,
        limit=rule.limit + state.granted,
        used=state.used,
        hard=rule.hard,
    )
