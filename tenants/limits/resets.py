"""Closing of ended windows: history, roll-over and notifications.

Limits do not depend on it, because gateways compute windows themselves. It may therefore run late;
then it processes the missed windows one by one.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import redis
from django.conf import settings
from django.db import transaction

from kernel.storage.redis import connect
from kernel.storage.shared_values import note_unreadable
from tenants.admission.limits.rules import QuotaRule
from tenants.admission.redis_counters.keys import scope_key
from tenants.counters.top_ups import add_granted
from tenants.limits.counter_names import counters_in, counters_of_owners, held_field, left_over
from tenants.limits.effective import load_limits
from tenants.limits.window_rows import open_rows
from tenants.models import ApiKey, Membership, QuotaUsage, QuotaWindow, Tenant
from tenants.notifications.delivery import create_notification
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

Rules = Mapping[str, QuotaRule]
"""Quotas in force by slot."""


def tenants_to_reset(*, now: datetime) -> list[int]:
    """Return the tenants with ended windows that are not closed or not rolled over."""
    with every_tenant():
        rows = QuotaWindow.objects.filter(rolled_over_at=None, ends_at__lte=now)
        return list(rows.order_by("tenant_id").values_list("tenant_id", flat=True).distinct())


def reset_quotas(tenant_id: int, *, now: datetime) -> int:
    """Close a tenant's ended windows, the oldest first. Return the number of closed windows.

    Safe to run concurrently: one caller closes a window, and one rolls it over. Raises
    LimitsUnknown in an outage.
    """
    rules = rules_of(tenant_id, now=now)
    with tenant_scope(tenant_id):
        over = list(open_rows(tenant_id).filter(ends_at__lte=now).order_by("starts_at"))
        closed = sum(close_window(row, rules, now=now) for row in over)
        pending = QuotaWindow.objects.filter(rolled_over_at=None).exclude(closed_at=None)
        for row in pending.order_by("starts_at"):
            roll_over(row, rules, now=now)
    return closed


def rules_of(tenant_id: int, *, now: datetime) -> Rules:
    """Return the quotas in force, and open their windows; none for a deleted tenant."""
    if not Tenant.objects.filter(pk=tenant_id).exists():
        return {}
    return {quota.slot: quota for quota in load_limits(tenant_id, now=now).quotas}


@transaction.atomic
def close_window(row: QuotaWindow, rules: Rules, *, now: datetime) -> bool:
    """Close an ended window. Return False if another process has closed it."""
    if not QuotaWindow.objects.close(window_id=row.pk, now=now):
        return False
    rule = rules.get(row.slot)
    usage = usage_in(row, rules)
    row.used = sum(each.used for each in usage)
    row.limit = rule.limit if rule else row.limit
    row.rolled_over_at = None if rule and rule.roll_over else now
    row.save(update_fields=["used", "limit", "rolled_over_at"])
    create_notification(
        "quota.reset", facts=reset_facts(row, rules), tenant_id=row.tenant_id, now=now
    )
    log.info(
        "quotas: window closed (window=%s, slot=%s, used=%d, limit=%d)",
        row.window.id,
        row.slot,
        row.used,
        row.limit,
    )
    return True


def usage_in(row: QuotaWindow, rules: Rules) -> list[QuotaUsage]:
    """Return the counters of a window with usage or grants."""
    found = {each.counter: each for each in QuotaUsage.objects.filter(window=row.window.id)}
    return [found[counter] for counter in counters_in(row.slot, found, slots=rules)]


def reset_facts(row: QuotaWindow, rules: Rules) -> dict[str, object]:
    running = rules[row.slot].pinned if row.slot in rules else None
    return {
        "quota": row.slot,
        "window": row.window.id,
        "used": row.used,
        "limit": row.limit,
        "starts_at": row.starts_at.isoformat(),
        "ended_at": row.ends_at.isoformat(),
        "resets_at": running.end.isoformat() if running else None,
    }


def roll_over(row: QuotaWindow, rules: Rules, *, now: datetime) -> bool:
    """Grant the rest of a closed window to the next one, once. Return False if nothing was done.

    Waits for the next run while Redis, which has the holds, is unavailable. Without a next window
    nothing rolls over.
    """
    rule = rules.get(row.slot)
    following = QuotaWindow.objects.filter(slot=row.slot, starts_at=row.ends_at).first()
    counters = counters_of(rule, rules) if rule and following else []
    try:
        held = held_by(row, counters)
    except redis.RedisError as error:
        log.warning(
            "quotas: roll-over postponed, Redis unavailable (slot=%s, error=%s)",
            row.slot,
            error.__class__.__name__,
        )
        return False
    with transaction.atomic():
        claimed = QuotaWindow.objects.filter(pk=row.pk, rolled_over_at=None)
        if claimed.update(rolled_over_at=now) != 1:
            return False
        if rule and following:
            grant_left_over(row, following, rule, held)
    return True


def grant_left_over(
    row: QuotaWindow, following: QuotaWindow, rule: QuotaRule, held: Mapping[str, int]
) -> None:
    usage = {each.counter: each for each in QuotaUsage.objects.filter(window=row.window.id)}
    for counter in sorted(held):
        before = usage.get(counter, QuotaUsage())
        amount = left_over(
            limit=row.limit,
            percent=rule.roll_over,
            granted=before.granted,
            used=before.used,
            held=held[counter],
        )
        if amount:
            add_granted(
                tenant_id=row.tenant_id,
                counter=counter,
                window=following.window.id,
                amount=amount,
            )


def counters_of(rule: QuotaRule, rules: Rules) -> list[str]:
    """Return the counters of a quota, including unused ones."""
    if rule.key_id is not None or rule.member_id is not None:
        return [rule.slot.rpartition("|")[0]]
    counters = counters_of_owners(rule.slot, owners_of(rule))
    return counters_in(rule.slot, counters, slots=rules)


def owners_of(rule: QuotaRule) -> Iterable[int]:
    if rule.per == "tenant":
        return ()
    if rule.per == "member":
        return Membership.objects.values_list("pk", flat=True)
    # A rotated key is counted as the first key of its chain.
    return ApiKey.objects.filter(lineage=None).values_list("pk", flat=True)


def held_by(row: QuotaWindow, counters: Sequence[str]) -> dict[str, int]:
    """Return the sum of the holds in a window by counter. Raises RedisError."""
    if not counters:
        return {}
    with connect(settings.REDIS_LIMITS_URL) as client:
        pipeline = client.pipeline(transaction=False)
        for counter in counters:
            scope, field = held_field(counter, row.window.id)
            pipeline.hget(scope_key(row.tenant_id, scope), field)
        answers = pipeline.execute()
    return {counter: as_count(held) for counter, held in zip(counters, answers, strict=True)}


def as_count(held: bytes | None) -> int:
    """Parse a sum of holds. Raises RedisError for an invalid number, so that nothing is granted."""
    try:
        return int(held or 0)
    except ValueError as error:
        note_unreadable("counter", error)
        raise redis.InvalidResponse("a counter is not a number") from error
