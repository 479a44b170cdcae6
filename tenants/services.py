"""Services that change tenants, members and keys, for the console and the management API.

Each service opens the scope that it needs, and publishes changes to gateways on commit.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from redis import RedisError

from kernel.audit import note_transition
from kernel.publishing.publish import publish
from tenants.api_keys.bounds import IS_WITHIN, Bounds, Rank, bounds_of, changed_bounds, widened
from tenants.api_keys.keys import digest_key, new_key, pepper_name
from tenants.counters import commands as counter_commands
from tenants.errors import KeyNotActive, KeyRestricted, SlugTaken
from tenants.limits.effective import ensure_window_rows, limits_topic
from tenants.models import ApiKey, Invitation, Membership, Quota, RateLimit, Tenant, User
from tenants.models.api_key import every_scope
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

TENANT_FIELDS = ("slug", "name", "time_zone", "retention_days")
KEY_FIELDS = ("name", "member", "scopes", "allowed_models", "allowed_networks", "expires_at")
"""Fields of forms. Others are changed only by services, so that a stale form cannot undo them."""

ROTATION_OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A new key with its secret text, which is not stored."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"IssuedKey({self.key})"


def principals_topic(tenant_id: int) -> str:
    """Return the topic that makes gateways reload the principals of a tenant."""
    return f"principals:{tenant_id}"


def key_topic(public_id: str) -> str:
    """Return the topic that makes gateways drop a cached key, even in an outage."""
    return f"key:{public_id}"


def suspension_topic(tenant_id: int) -> str:
    """Return the topic that makes gateways drop all cached keys of a tenant, even in an outage."""
    return f"suspended:{tenant_id}"


def create_tenant(
    *, slug: str, name: str, time_zone: str = "UTC", retention_days: int | None = None
) -> Tenant:
    """Create a tenant. Raises SlugTaken or ValidationError."""
    tenant = Tenant(slug=slug, name=name, time_zone=time_zone, retention_days=retention_days)
    tenant.full_clean(validate_unique=False)
    try:
        with transaction.atomic():
            tenant.save()
    except IntegrityError as error:
        raise SlugTaken(
            f"There is a tenant {slug!r} already. Choose another short name."
        ) from error
    return tenant


@transaction.atomic
def save_tenant(*, tenant: Tenant) -> None:
    """Store changed fields of a tenant and publish the change.

    A new time zone applies to quotas from their next windows.
    """
    ensure_window_rows([tenant.pk], now=timezone.now())
    tenant.save(update_fields=TENANT_FIELDS)
    publish(principals_topic(tenant.pk), limits_topic(tenant.pk))


@transaction.atomic
def suspend_tenant(*, tenant_id: int) -> bool:
    """Refuse all requests of a tenant within a second. Return False if it was suspended already."""
    changed = Tenant.objects.suspend(tenant_id=tenant_id)
    if changed:
        note_status(tenant_id, before=Tenant.Status.ACTIVE, after=Tenant.Status.SUSPENDED)
    publish(principals_topic(tenant_id), suspension_topic(tenant_id))
    transaction.on_commit(partial(deny_at_once, tenant_id, "tenant", "tenant_suspended"))
    return changed


@transaction.atomic
def resume_tenant(*, tenant_id: int) -> bool:
    """Accept requests of a suspended tenant again. Return False if it was active."""
    changed = Tenant.objects.resume(tenant_id=tenant_id)
    if changed:
        note_status(tenant_id, before=Tenant.Status.SUSPENDED, after=Tenant.Status.ACTIVE)
    publish(principals_topic(tenant_id))
    transaction.on_commit(partial(allow_at_once, tenant_id, "tenant"))
    return changed


def note_status(tenant_id: int, *, before: str, after: str) -> None:
    tenant = Tenant.objects.get(pk=tenant_id)
    note_transition(tenant, field="status", before=before, after=after)


def deny_at_once(tenant_id: int, name: str, why: str) -> None:
    """Write a denial to the live counters, which every admission reads."""
    try:
        counter_commands.deny(tenant_id=tenant_id, names=[name], why=why)
    except RedisError:
        log_denial_failure(tenant_id, name)


def allow_at_once(tenant_id: int, name: str) -> None:
    try:
        counter_commands.allow(tenant_id=tenant_id, names=[name])
    except RedisError:
        log_denial_failure(tenant_id, name)


def log_denial_failure(tenant_id: int, name: str) -> None:
    # The change is also published, so gateways apply it within a second.
    log.warning(
        "counters: denial not written, Redis unavailable (tenant_id=%d, change=%s)", tenant_id, name
    )


def save_user(*, user: User) -> None:
    """Store a new or changed user. Only operators may sign in to the console."""
    user.is_staff = user.is_superuser
    user.save()


@transaction.atomic
def add_member(*, tenant: Tenant, user: User, role: str = Membership.Role.VIEWER) -> Membership:
    """Give a user a role in a tenant; a second call changes the role.

    Only for operators, who need no consent of the user, and for accepted invitations. A default
    tenant of the user stays the same.
    """
    set_default_tenant(user=user, joins=tenant)
    with tenant_scope(tenant.pk):
        membership, _ = Membership.objects.update_or_create(
            tenant=tenant, user=user, defaults={"role": role}
        )
        Invitation.objects.filter(invitation_for(user)).delete()
    return membership


def set_default_tenant(*, user: User, joins: Tenant) -> None:
    """Fix a user's default tenant before they get a role in another tenant.

    For a user without a role it is the tenant that they join.
    """
    # The lock serializes tenants that add the same user at the same time.
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    with every_tenant():
        theirs = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True)[:2])
    if not theirs:
        locked.default_tenant = joins
    elif len(theirs) == 1 and locked.default_tenant_id is None:
        locked.default_tenant_id = theirs[0]
    else:
        return
    locked.save(update_fields=["default_tenant"])
    user.default_tenant_id = locked.default_tenant_id


def invitation_for(user: User) -> Q:
    """Return the condition of a user's invitations, also of those older than the user."""
    return Q(user=user) | Q(user=None, username=user.get_username())


@transaction.atomic
def change_role(*, membership: Membership, role: str) -> None:
    """Give a member another role in the same tenant."""
    with tenant_scope(membership.tenant_id):
        membership.role = role
        membership.save(update_fields=["role"])


@transaction.atomic
def remove_member(*, membership: Membership) -> None:
    """Delete a membership. The member's keys stay with the tenant, without a member."""
    with tenant_scope(membership.tenant_id):
        membership.delete()
        publish(principals_topic(membership.tenant_id), limits_topic(membership.tenant_id))


@transaction.atomic
def issue_key(
    *,
    tenant: Tenant,
    name: str,
    scopes: Collection[str] | None = None,
    member: Membership | None = None,
    allowed_models: Sequence[str] = (),
    allowed_networks: Sequence[str] = (),
    expires_at: datetime | None = None,
    replaces: ApiKey | None = None,
    by: Rank = Rank.OPERATOR,
) -> IssuedKey:
    """Create a key. Only the result has its text, because the database stores a digest.

    Users of a lower rank than `by` cannot widen its restrictions. Raises ValidationError.
    """
    text = new_key()
    pepper = settings.KEY_PEPPERS[0]
    key = ApiKey(
        tenant=tenant,
        name=name,
        member=member,
        public_id=text.public_id,
        prefix=text.prefix,
        digest=digest_key(text, pepper=pepper),
        pepper=pepper_name(pepper),
        scopes=sorted(every_scope() if scopes is None else scopes),
        allowed_models=list(allowed_models),
        allowed_networks=list(allowed_networks),
        expires_at=expires_at,
        replaces=replaces,
        lineage=replaces.counted_as if replaces else None,
    )
    key.bounds = bounds_of(vars(key), every_scope=every_scope(), rank=by)
    with tenant_scope(tenant.pk):
        key.full_clean(exclude=("tenant", "member", "replaces"))
        key.save()
        publish(principals_topic(tenant.pk))
    return IssuedKey(key=key, secret=str(text))


@transaction.atomic
def save_key(
    *, key: ApiKey, fields: Collection[str] = KEY_FIELDS, by: Rank = Rank.OPERATOR
) -> None:
    """Store changed `fields` of a key and publish the change.

    Raises KeyRestricted if one of them exceeds a restriction by a user of a higher rank than `by`.
    """
    with tenant_scope(key.tenant_id):
        stored = ApiKey.objects.select_for_update().get(pk=key.pk)
        values = {name: getattr(key, name) for name in fields if name in IS_WITHIN}
        ensure_within(values, stored.bounds_in_force, by=by)
        key.bounds = changed_bounds(
            values, stored.bounds_in_force, every_scope=every_scope(), rank=by
        )
        key.save(update_fields=[*fields, "bounds"])
        publish(principals_topic(key.tenant_id), key_topic(key.public_id))


def ensure_within(values: Mapping[str, Any], bounds: Bounds, *, by: Rank) -> None:
    too_wide = widened(values, bounds, rank=by)
    if too_wide:
        raise KeyRestricted(
            f"A user with a higher role has restricted {', '.join(too_wide)} of this API key. "
            "Stay within the restriction, or ask them to change it."
        )


@transaction.atomic
def block_key(*, key: ApiKey, now: datetime, by: Rank = Rank.OPERATOR) -> bool:
    """Refuse a key within a second. Return False if it was blocked already.

    After that, only users of this rank or a higher one can unblock the key.
    """
    with tenant_scope(key.tenant_id):
        changed = ApiKey.objects.block(key_id=key.pk, now=now, by=by)
        if changed:
            note_transition(key, field="status", before="accepted", after="blocked")
        publish(principals_topic(key.tenant_id), key_topic(key.public_id))
    name = f"key:{key.pk}"
    transaction.on_commit(partial(deny_at_once, key.tenant_id, name, "revoked_api_key"))
    return changed


@transaction.atomic
def unblock_key(*, key: ApiKey, by: Rank = Rank.OPERATOR) -> bool:
    """Accept a blocked key again. Return False if it was not blocked.

    Raises KeyRestricted if a user of a higher rank than `by` has blocked it.
    """
    with tenant_scope(key.tenant_id):
        changed = ApiKey.objects.unblock(key_id=key.pk, by=by)
        if changed:
            note_transition(key, field="status", before="blocked", after="accepted")
        elif ApiKey.objects.filter(pk=key.pk).exclude(blocked_at=None).exists():
            raise KeyRestricted
        publish(principals_topic(key.tenant_id))
    transaction.on_commit(partial(allow_at_once, key.tenant_id, f"key:{key.pk}"))
    return changed


@transaction.atomic
def rotate_key(
    *,
    key: ApiKey,
    now: datetime,
    overlap: timedelta = ROTATION_OVERLAP,
    holder: Membership | None = None,
    by: Rank = Rank.OPERATOR,
) -> IssuedKey:
    """Replace a key: the new key is valid at once, the old one until `overlap` has passed.

    The new key has the restrictions and limits of the old one, and limits count both together. It
    belongs to the member `holder`, by default to that of the old key. Its lifetime is that of the
    old key, within the restriction by users of a higher rank than `by`. Raises KeyNotActive.
    """
    if key.status(now=now) != "active":
        raise KeyNotActive
    with tenant_scope(key.tenant_id):
        issued = issue_key(
            tenant=key.tenant,
            name=key.name,
            scopes=key.scopes,
            member=holder or key.member,
            allowed_models=key.allowed_models,
            allowed_networks=key.allowed_networks,
            expires_at=expiry_of_next(key, now=now, by=by),
            replaces=key,
            by=by,
        )
        transfer_restrictions(key, issued.key)
        limit_expiry(key, now + overlap, by=by)
        publish(
            principals_topic(key.tenant_id),
            key_topic(key.public_id),
            limits_topic(key.tenant_id),
        )
    return issued


def limit_expiry(key: ApiKey, at: datetime, *, by: Rank) -> None:
    """Let a key expire at `at` at the latest. Users of a lower rank cannot undo it."""
    end = min(at, key.expires_at) if key.expires_at else at
    bounds = changed_bounds(
        {"expires_at": end}, key.bounds_in_force, every_scope=every_scope(), rank=by
    )
    ApiKey.objects.filter(pk=key.pk).update(bounds=bounds)
    ApiKey.objects.expire_by(key_id=key.pk, at=at)


def expiry_of_next(key: ApiKey, *, now: datetime, by: Rank) -> datetime | None:
    """Return the expiry of the key that replaces this one."""
    if key.expires_at is None:
        return None
    expiry = now + (key.expires_at - key.created_at)
    bound = key.bounds_in_force.get("expires_at")
    if bound is None or bound["rank"] <= by:
        return expiry
    return min(expiry, datetime.fromisoformat(bound["value"]))


def transfer_restrictions(old: ApiKey, new: ApiKey) -> None:
    """Copy the restrictions of the old key to the new one, and move its limits there.

    Usage needs no change, because limits count both as the same key.
    """
    bounds = {name: dict(bound) for name, bound in old.bounds_in_force.items()}
    if "expires_at" in bounds and new.expires_at is not None:
        latest = max(new.expires_at, datetime.fromisoformat(bounds["expires_at"]["value"]))
        bounds["expires_at"]["value"] = latest.isoformat()
    new.bounds = bounds
    new.save(update_fields=["bounds"])
    lineage = list(ApiKey.objects.of_lineage(old.pk).values_list("pk", flat=True))
    for kind in (RateLimit, Quota):
        kind.objects.filter(api_key__in=lineage).update(api_key=new)
