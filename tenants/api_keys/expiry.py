"""Keys that expire: announced a week before, and noted when it has happened.

They are refused by time anyway; this only tells people, and lets gateways forget the keys.
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

AHEAD = timedelta(days=7)
MAX_KEYS_AT_ONCE = 5000
"""That one look finds; the others are found by the next."""
MAX_KEYS_TOGETHER = 500
"""Of one tenant, in one transaction."""

ANNOUNCED = Q(warned_of=F("expires_at"))
NOTED = Q(noted_expiry=F("expires_at"))


def note_expired(*, now: datetime) -> int:
    """Note each key that has expired, once. Returns how many this call noted."""
    due = Q(expires_at__lte=now, blocked_at=None) & ~NOTED
    return sum(note_some(tenant_id, ids, due) for tenant_id, ids in batches(due))


def warn_of_expiry(*, now: datetime) -> int:
    """Tell recipients of each key that expires within a week, once. Returns of how many."""
    due = Q(expires_at__gt=now, expires_at__lte=now + AHEAD, blocked_at=None) & ~ANNOUNCED
    return sum(warn_of_some(tenant_id, ids, due, now=now) for tenant_id, ids in batches(due))


def batches(due: Q) -> Iterator[tuple[int, Sequence[int]]]:
    """Keys that are due, those that expire first before others, by their tenants."""
    by_tenant: dict[int, list[int]] = defaultdict(list)
    with every_tenant():
        rows = ApiKey.objects.filter(due).order_by("expires_at", "pk")
        for tenant_id, key_id in rows.values_list("tenant_id", "pk")[:MAX_KEYS_AT_ONCE]:
            by_tenant[tenant_id].append(key_id)
    for tenant_id, ids in by_tenant.items():
        for first in range(0, len(ids), MAX_KEYS_TOGETHER):
            yield tenant_id, ids[first : first + MAX_KEYS_TOGETHER]


def locked(ids: Sequence[int], due: Q) -> QuerySet[ApiKey]:
    """Those of the keys that are still due and that nobody else works on. Asks in a scope."""
    rows = ApiKey.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
    return rows.filter(due, pk__in=ids).order_by("pk")


@transaction.atomic
def note_some(tenant_id: int, ids: Sequence[int], due: Q) -> int:
    with tenant_scope(tenant_id):
        keys = list(locked(ids, due))
        mine = ApiKey.objects.filter(pk__in=[key.pk for key in keys])
        mine.update(noted_expiry=F("expires_at"))
        note_transitions(keys, field="status", before="active", after="expired")
        if keys:
            publish(principals_topic(tenant_id))
    return len(keys)


@transaction.atomic
def warn_of_some(tenant_id: int, ids: Sequence[int], due: Q, *, now: datetime) -> int:
    with tenant_scope(tenant_id):
        keys = list(locked(ids, due))
        mine = ApiKey.objects.filter(pk__in=[key.pk for key in keys])
        mine.update(warned_of=F("expires_at"))
        events = [{"key": str(key), "expires_at": str(key.expires_at)} for key in keys]
        create_notifications("key.expiring", events=events, tenant_id=tenant_id, now=now)
    return len(keys)
