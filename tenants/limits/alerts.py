"""Quota alerts: each threshold of a counter is sent once in a window, and again after the limit was
raised or topped up beyond the usage that was reported.
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

UsageByCounter = Mapping[tuple[str, str], QuotaUsage]
"""Usage by counter and window."""


def tenants_to_alert(*, now: datetime) -> list[int]:
    """Return the tenants with enabled recipients and with usage in an open window."""
    with every_tenant():
        facts = AlertRecipient.objects.filter(enabled=True).values("tenant_id")
        rows = QuotaUsage.objects.filter(ends_at__gt=now, used__gt=0, tenant_id__in=facts)
        return list(rows.order_by("tenant_id").values_list("tenant_id", flat=True).distinct())


def alert_tenant(tenant_id: int, *, now: datetime) -> int:
    """Notify a tenant's recipients of crossed thresholds. Returns the number of counters.

    Raises LimitsUnknown in an outage.
    """
    quotas = load_limits(tenant_id, now=now).quotas
    with tenant_scope(tenant_id):
        rows = QuotaUsage.objects.filter(ends_at__gt=now, used__gt=0)
        usage = {(each.counter, each.window): each for each in rows}
        crossed = list(crossings(quotas, usage))
        return sum(alert(quota, each, now=now) for quota, each in crossed)


def crossings(
    quotas: tuple[QuotaRule, ...], usage: UsageByCounter
) -> Iterator[tuple[QuotaRule, QuotaUsage]]:
    """Yield each quota with a counter that has crossed one of its thresholds."""
    slots = {quota.slot for quota in quotas}
    for quota in quotas:
        window = quota.pinned.id if quota.pinned else ""
        counters = [counter for counter, within in usage if within == window]
        for counter in counters_in(quota.slot, counters, slots=slots):
            row = usage[counter, window]
            if crossed_thresholds(quota, row):
                yield quota, row


def crossed_thresholds(quota: QuotaRule, row: QuotaUsage) -> list[int]:
    """Return the thresholds (percent of the limit plus grants) that the usage has reached."""
    return [each for each in quota.alert_at if row.used * 100 >= each * (quota.limit + row.granted)]


@transaction.atomic
def alert(quota: QuotaRule, row: QuotaUsage, *, now: datetime) -> bool:
    """Notify the recipients of the highest new threshold. Return False if there is none."""
    fresh = [each for each in crossed_thresholds(quota, row) if claim_threshold(quota, row, each)]
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


def claim_threshold(quota: QuotaRule, row: QuotaUsage, threshold: int) -> bool:
    """Record that a threshold of the present limit was reported. Return whether it is new."""
    limit = quota.limit + row.granted
    reached = -(-threshold * limit // 100)
    place = {"counter": row.counter, "window": row.window, "threshold": threshold}
    # An alert sent under a lower limit also counts here if its usage reached this threshold.
    if QuotaAlert.objects.filter(tenant_id=row.tenant_id, used__gte=reached, **place).exists():
        return False
    _, fresh = QuotaAlert.objects.get_or_create(
        tenant_id=row.tenant_id, **place, limit=limit, defaults={"used": row.used}
    )
    return fresh
