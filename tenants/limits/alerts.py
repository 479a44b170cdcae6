"""Quota alerts: each threshold of a counter is told once in a window, and again when the limit was
raised, or topped up, beyond what it was told of.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from django.db import transaction

from tenants.admission.limits.rules import QuotaRule
from tenants.limits.counter_names import counters_in
from tenants.limits.effective import load_limits
from tenants.models import AlertRecipient, QuotaAlert, QuotaUsage
from tenants.notifications.delivery import create_notification
from tenants.scoping import every_tenant, tenant_scope

Seen = Mapping[tuple[str, str], QuotaUsage]
"""Usage by counter and window."""


def tenants_to_alert(*, now: datetime) -> list[int]:
    """Tenants with somebody to tell, and with usage in a window that runs."""
    with every_tenant():
        facts = AlertRecipient.objects.filter(enabled=True).values("tenant_id")
        rows = QuotaUsage.objects.filter(ends_at__gt=now, used__gt=0, tenant_id__in=facts)
        return list(rows.order_by("tenant_id").values_list("tenant_id", flat=True).distinct())


def alert_tenant(tenant_id: int, *, now: datetime) -> int:
    """Tell a tenant's recipients of thresholds that were crossed. Returns of how many counters.

    Raises LimitsUnknown in an outage.
    """
    quotas = load_limits(tenant_id, now=now).quotas
    with tenant_scope(tenant_id):
        rows = QuotaUsage.objects.filter(ends_at__gt=now, used__gt=0)
        usage = {(each.counter, each.window): each for each in rows}
        crossed = list(crossings(quotas, usage))
        return sum(alert(quota, each, now=now) for quota, each in crossed)


def crossings(quotas: tuple[QuotaRule, ...], usage: Seen) -> Iterator[tuple[QuotaRule, QuotaUsage]]:
    """Counters with the quotas of which they have crossed a threshold."""
    slots = {quota.slot for quota in quotas}
    for quota in quotas:
        window = quota.pinned.id if quota.pinned else ""
        counters = [counter for counter, within in usage if within == window]
        for counter in counters_in(quota.slot, counters, slots=slots):
            row = usage[counter, window]
            if crossed_thresholds(quota, row):
                yield quota, row


def crossed_thresholds(quota: QuotaRule, row: QuotaUsage) -> list[int]:
    """Percents of the limit, with what was granted, that are reached."""
    return [each for each in quota.alert_at if row.used * 100 >= each * (quota.limit + row.granted)]


@transaction.atomic
def alert(quota: QuotaRule, row: QuotaUsage, *, now: datetime) -> bool:
    """Tell of the highest threshold that was not told of before. False if all were."""
    fresh = [each for each in crossed_thresholds(quota, row) if guard(quota, row, each)]
    if not fresh:
        return False
    facts = {
        "percent": max(fresh),
        "counter": row.counter,
        "window": row.window,
        "used": row.used,
        "limit": quota.limit + row.granted,
        "unit": quota.unit,
        "source": quota.source,
        "resets_at": row.ends_at.isoformat(),
    }
    create_notification("quota.threshold", facts=facts, tenant_id=row.tenant_id, now=now)
    return True


def guard(quota: QuotaRule, row: QuotaUsage, threshold: int) -> bool:
    """Whether this threshold of the present limit is told of for the first time."""
    limit = quota.limit + row.granted
    reached = -(-threshold * limit // 100)
    place = {"counter": row.counter, "window": row.window, "threshold": threshold}
    # What was told of a lower limit is no news of this one, if it would be reached by this one too.
    if QuotaAlert.objects.filter(tenant_id=row.tenant_id, used__gte=reached, **place).exists():
        return False
    _, fresh = QuotaAlert.objects.get_or_create(
        tenant_id=row.tenant_id, **place, limit=limit, defaults={"used": row.used}
    )
    return fresh
