"""Expiry of keys: recipients are notified a week before, and the expiry is recorded.

Gateways refuse expired keys without this; it notifies people, and removes the keys from caches.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from kernel.audit import note_transitions
from kernel.publishing.publish import publish
from tenants.models import ApiKey
from tenants.notifications.delivery import create_notifications
from tenants.scoping import every_tenant, tenant_scope
from tenants.services import principals_topic

WARNING_PERIOD = timedelta(days=7)
MAX_KEYS_AT_ONCE = 5000
"""Maximum number of keys that one run processes; the next run processes the others."""
MAX_KEYS_TOGETHER = 500
"""Maximum number of keys of one tenant in one transaction."""

WARNED = Q(warned_of=F("expires_at"))
RECORDED = Q(noted_expiry=F("expires_at"))


def note_expired(*, now: datetime) -> int:
    """Record each expired key once. Return the number recorded."""
    due = Q(expires_at__lte=now, blocked_at=None) & ~RECORDED
    return sum(record_batch(tenant_id, ids, due) for tenant_id, ids in batches(due))


def warn_of_expiry(*, now: datetime) -> int:
    """Notify recipients of each key that expires within a week, once. Return the number of keys."""
    due = Q(expires_at__gt=now, expires_at__lte=now + WARNING_PERIOD, blocked_at=None) & ~WARNED
    return sum(warn_batch(tenant_id, ids, due, now=now) for tenant_id, ids in batches(due))


def batches(due: Q) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield batches of due keys of one tenant, in the order of their expiry."""
    by_tenant: dict[int, list[int]] = defaultdict(list)
    with every_tenant():
        rows = ApiKey.objects.filter(due).order_by("expires_at", "pk")
        for tenant_id, key_id in rows.values_list("tenant_id", "pk")[:MAX_KEYS_AT_ONCE]:
            by_tenant[tenant_id].append(key_id)
    for tenant_id, ids in by_tenant.items():
        for first in range(0, len(ids), MAX_KEYS_TOGETHER):
            yield tenant_id, ids[first : first + MAX_KEYS_TOGETHER]


def locked(ids: Sequence[int], due: Q) -> QuerySet[ApiKey]:
    """Lock the keys that are still due, except those locked by others. Needs a tenant scope."""
    rows = ApiKey.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
    return rows.filter(due, pk__in=ids).order_by("pk")


@transaction.atomic
def record_batch(tenant_id: int, ids: Sequence[int], due: Q) -> int:
    with tenant_scope(tenant_id):
        keys = list(locked(ids, due))
        mine = ApiKey.objects.filter(pk__in=[key.pk for key in keys])
        mine.update(noted_expiry=F("expires_at"))
        note_transitions(keys, field="status", before="active", after="expired")
        if keys:
            publish(principals_topic(tenant_id))
    return len(keys)


@transaction.atomic
def warn_batch(tenant_id: int, ids: Sequence[int], due: Q, *, now: datetime) -> int:
    with tenant_scope(tenant_id):
        keys = list(locked(ids, due))
        mine = ApiKey.objects.filter(pk__in=[key.pk for key in keys])
        mine.update(warned_of=F("expires_at"))
        events = [{"key": str(key), "expires_at": str(key.expires_at)} for key in keys]
        create_notifications("key.expiring", events=events, tenant_id=tenant_id, now=now)
    return len(keys)
