"""Keys that expire: announced a week before, and noted when it has happened.

They are refused by time anyway; this only tells people, and lets gateways forget the keys.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from kernel.audit import note_transition
from kernel.publishing import publish
from tenants.models import ApiKey
from tenants.notices import note_event
from tenants.scoping import every_tenant, tenant_scope
from tenants.services import principals_topic

AHEAD = timedelta(days=7)


def note_expired(*, now: datetime) -> int:
    """Note each key that has expired, once. Returns how many this call noted."""
    told = Q(noted_expiry=F("expires_at"))
    with every_tenant():
        rows = ApiKey.objects.filter(expires_at__lte=now, blocked_at=None).exclude(told)
        return sum(note_one(key) for key in rows)


@transaction.atomic
def note_one(key: ApiKey) -> bool:
    if not still(key).exclude(noted_expiry=key.expires_at).update(noted_expiry=key.expires_at):
        return False
    note_transition(key, field="status", before="active", after="expired")
    publish(principals_topic(key.tenant_id))
    return True


def warn_of_expiry(*, now: datetime) -> int:
    """Tell recipients of each key that expires within a week, once. Returns of how many."""
    told = Q(warned_of=F("expires_at"))
    soon = Q(expires_at__gt=now, expires_at__lte=now + AHEAD)
    with every_tenant():
        rows = ApiKey.objects.filter(soon, blocked_at=None).exclude(told)
        return sum(warn_of_one(key, now=now) for key in rows)


@transaction.atomic
def warn_of_one(key: ApiKey, *, now: datetime) -> bool:
    if not still(key).exclude(warned_of=key.expires_at).update(warned_of=key.expires_at):
        return False
    told = {"key": str(key), "expires_at": str(key.expires_at)}
    with tenant_scope(key.tenant_id):
        note_event("key.expiring", told=told, tenant_id=key.tenant_id, now=now)
    return True


def still(key: ApiKey) -> QuerySet[ApiKey]:
    """The row, unless it was given another expiry meanwhile."""
    return ApiKey.objects.filter(pk=key.pk, expires_at=key.expires_at, blocked_at=None)
