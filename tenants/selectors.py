"""What others read of tenants: plain values for the gateway, query sets for the console."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import InterfaceError, OperationalError
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from kernel.errors import Denied, InvalidParameter, NotFound
from tenants.admission.principal import Principal
from tenants.errors import KeysUnavailable
from tenants.models import ApiKey, Membership, Tenant, UsageEvent, User
from tenants.scoping import every_tenant

SLUG = re.compile(r"[-a-zA-Z0-9_]+", re.ASCII)
SUMMED_AT_MOST = 100_000
"""Events that one page adds up; more would make it wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over usage events. Corrections change the tokens and are no requests."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    is_partial: bool


def total_usage(events: QuerySet[UsageEvent]) -> UsageTotals:
    """The sums of `events`, or of their newest SUMMED_AT_MOST if they are more."""
    is_request = ~Q(kind=UsageEvent.Kind.CORRECTION)
    newest = events.select_related(None).order_by("-started_at")[:SUMMED_AT_MOST]
    sums = newest.aggregate(
        rows=Count("pk"),
        requests=Count("pk", filter=is_request),
        failed=Count("pk", filter=is_request & Q(status=UsageEvent.Status.FAILED)),
        prompt_tokens=Sum("prompt_tokens", default=0),
        completion_tokens=Sum("completion_tokens", default=0),
    )
    rows = sums.pop("rows")
    return UsageTotals(**sums, is_partial=rows == SUMMED_AT_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """What all tenants together used since a moment."""

    requests: int
    failed: int
    tenants: int
    prompt_tokens: int
    completion_tokens: int


def summarise_usage(*, since: datetime) -> UsageSummary:
    """The sums of the tenants in scope."""
    is_request = ~Q(kind=UsageEvent.Kind.CORRECTION)
    return UsageSummary(
        **UsageEvent.objects.filter(started_at__gte=since).aggregate(
            requests=Count("pk", filter=is_request),
            failed=Count("pk", filter=is_request & Q(status=UsageEvent.Status.FAILED)),
            tenants=Count("tenant", distinct=True),
            prompt_tokens=Sum("prompt_tokens", default=0),
            completion_tokens=Sum("completion_tokens", default=0),
        )
    )


def requests_by_hour(*, since: datetime) -> dict[datetime, int]:
    """Requests of the tenants in scope by the hour (UTC) in which they began."""
    events = UsageEvent.objects.filter(started_at__gte=since)
    requests = events.exclude(kind=UsageEvent.Kind.CORRECTION).order_by()
    hours = requests.annotate(hour=TruncHour("started_at", tzinfo=UTC)).values("hour")
    return dict(hours.annotate(rows=Count("pk")).values_list("hour", "rows"))


def load_principal(public_id: str) -> Principal | None:
    """The principal behind a key's public id, or None. Raises KeysUnavailable in an outage.

    Looks across tenants, because the key is what says which tenant is meant.
    """
    try:
        with every_tenant():
            key = (
                ApiKey.objects.select_related("tenant", "member")
                .filter(public_id=public_id)
                .first()
            )
    except (OperationalError, InterfaceError) as error:
        raise KeysUnavailable from error
    return as_principal(key) if key else None


def as_principal(key: ApiKey) -> Principal:
    return Principal(
        tenant_id=key.tenant_id,
        tenant=key.tenant.slug,
        tenant_active=key.tenant.status == Tenant.Status.ACTIVE,
        key_id=key.pk,
        public_id=key.public_id,
        member_id=key.member_id,
        digest=bytes(key.digest),
        pepper=key.pepper,
        scopes=frozenset(key.scopes),
        allowed_models=frozenset(key.allowed_models),
        allowed_networks=tuple(key.allowed_networks),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        blocked=key.blocked_at is not None,
    )


def note_key_use(*, key_ids: list[int]) -> None:
    """Remember that keys were used now; for people, so a minute's precision is enough."""
    with every_tenant():
        ApiKey.objects.note_use(key_ids=key_ids, at=timezone.now())


def tenant_ids_of(*, user: User) -> list[int]:
    """The tenants in which a user has any role."""
    with every_tenant():
        return list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True))


def find_tenant(*, slug: str) -> Tenant:
    """Raises NotFound."""
    # A slug holds no NUL, which PostgreSQL would refuse to compare.
    tenant = Tenant.objects.filter(slug=slug).first() if SLUG.fullmatch(slug) else None
    if tenant is None:
        raise NotFound
    return tenant


def membership_of(*, user: User, tenant: str | None) -> Membership:
    """A user's role in the tenant of that slug, or in their only one.

    Raises NotFound for a tenant that is not theirs, as for one that does not exist; Denied without
    any role; InvalidParameter if there are several and nobody said which.
    """
    with every_tenant():
        theirs = list(Membership.objects.filter(user=user).select_related("tenant"))
    if not theirs:
        raise Denied("You have no role in any tenant. Ask an operator or an admin for one.")
    if tenant is None and len(theirs) > 1:
        names = ", ".join(membership.tenant.slug for membership in theirs[:10])
        raise InvalidParameter(
            f"Say which tenant is meant: add ?tenant= with one of {names}.", param="tenant"
        )
    for membership in theirs:
        if tenant in {None, membership.tenant.slug}:
            return membership
    raise NotFound
